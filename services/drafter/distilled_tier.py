"""A tier with a distilled drafter: drafts for one target, from its hidden states or from tokens."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from services.drafter.distilled_proposer import StatesProposer, TokensProposer
from services.drafter.distilled_scores import DistilledScorer
from tiercel.descriptions import TierDescription
from tiercel.engines.distilled import DistilledModel
from tiercel.scores import ScoreAsk, Scores
from tiercel.speculation.draft_server import Drafts, DraftServer
from tiercel.speculation.proposer import Proposer
from tiercel.speculation.request import Lost
from tiercel.speculation.scoring import scoring
from tiercel.speculation.slots import Slots
from tiercel.wire.draft import DraftOpening


class DistilledTier:
    """Serves the drafts of one distilled drafter."""

    def __init__(
        self, name: str, model: DistilledModel, *, max_sessions: int, heartbeat_s: float
    ) -> None:
        self.name, self._model = name, model
        self._slots = Slots(name, max_sessions)
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._scorer = DistilledScorer(name, model, self._executor)
        self._born = time.monotonic()
        manifest = model.manifest
        drafts = Drafts(
            tier=name,
            tokenizer_fingerprint=manifest.tokenizer_fingerprint,
            vocab_size=manifest.vocab_size,
            hidden_size=manifest.shape.hidden_size if manifest.shape.uses_hidden else 0,
            hidden_digest=manifest.target_digest,
            heartbeat_s=heartbeat_s,
        )
        self.draft_server = DraftServer(drafts, self._slots, self._proposer)

    def describe(self) -> TierDescription:
        """Return what this replica is, and its load."""
        manifest = self._model.manifest
        return TierDescription(
            tier=self.name,
            model=f"drafter for {manifest.target}",
            engine="distilled",
            dtype=manifest.dtype,
            numerics_id="",
            bit_exact=False,
            tokenizer_fingerprint=manifest.tokenizer_fingerprint,
            vocab_size=manifest.vocab_size,
            max_length=self._model.max_length,
            verifies=False,
            drafts=True,
            num_sessions=self._slots.num_taken,
            max_sessions=self._slots.most,
            num_waiting_passes=0,
            uptime_s=time.monotonic() - self._born,
            speed=self._scorer.speed,
        )

    async def score(self, ask: ScoreAsk, deadline: float) -> Scores:
        """Say what would have been drafted; raises as `scoring` and `DistilledScorer` do."""
        async with scoring(self._slots, deadline):
            scored = await self._scorer.scored(ask)
        return Scores(tuple(scored), self.name)

    async def close(self) -> None:
        """End the thread that computes."""
        await asyncio.to_thread(self._executor.shutdown)

    @asynccontextmanager
    async def _proposer(
        self, opening: DraftOpening, deadline: float, lost: Lost
    ) -> AsyncIterator[Proposer]:
        uses_hidden = self._model.manifest.shape.uses_hidden
        kind = StatesProposer if uses_hidden else TokensProposer
        proposer = kind(self._model, opening, self._executor)
        try:
            yield proposer
        finally:
            await proposer.close()
