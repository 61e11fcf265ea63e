"""A tier without a model: drafts what followed the last tokens before, here or in a table."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from services.drafter.given_texts import given_texts
from services.drafter.suffix_scores import scored_texts
from tiercel.descriptions import TierDescription
from tiercel.engines.combined import CombinedDrafter
from tiercel.engines.guesses import Source
from tiercel.errors import InvalidRequest, PlanRefused
from tiercel.scores import ScoreAsk, Scores
from tiercel.speculation.draft_server import Drafts, DraftServer
from tiercel.speculation.lookup import Basis, Lookups, LookupSession
from tiercel.speculation.proposer import Proposal, Proposer
from tiercel.speculation.request import Lost
from tiercel.speculation.scoring import check_scored, scoring
from tiercel.speculation.slots import Slots
from tiercel.types import PairStats, Plan, TierStats
from tiercel.wire.draft import DraftOpening


class SuffixTier:
    """Serves drafts in any vocabulary; recent outputs are pooled by tokenizer."""

    def __init__(self, name: str, basis: Basis, *, max_sessions: int, heartbeat_s: float) -> None:
        self.name, self._basis, self._lookups = name, basis, Lookups(basis)
        self._slots = Slots(name, max_sessions)
        self._born = time.monotonic()
        drafts = Drafts(tier=name, heartbeat_s=heartbeat_s)
        self.draft_server = DraftServer(drafts, self._slots, self._proposer)

    def describe(self) -> TierDescription:
        """Return what this replica is, and its load."""
        table = self._basis.table
        return TierDescription(
            tier=self.name,
            model=f"{table.header.model} n-grams" if table is not None else "",
            engine="suffix",
            dtype="",
            numerics_id="",
            bit_exact=True,
            tokenizer_fingerprint="",
            vocab_size=0,
            max_length=self._basis.max_length,
            verifies=False,
            drafts=True,
            num_sessions=self._slots.num_taken,
            max_sessions=self._slots.most,
            num_waiting_passes=0,
            uptime_s=time.monotonic() - self._born,
        )

    async def score(self, ask: ScoreAsk, deadline: float) -> Scores:
        """Say what would have been drafted; raises as `scoring` and `given_texts` do."""
        async with scoring(self._slots, deadline):
            texts = given_texts(ask, self.name)
            check_scored(texts.continuations, len(texts.prompt), self._basis.max_length)
            drafter = CombinedDrafter(*self._lookups.sources(texts.fingerprint))
            scored = await scored_texts(drafter, texts, self._basis.min_confidence)
        return Scores(tuple(scored), self.name)

    async def close(self) -> None:
        """Forget the pooled outputs."""
        self._lookups.forget()

    @asynccontextmanager
    async def _proposer(
        self, opening: DraftOpening, deadline: float, lost: Lost
    ) -> AsyncIterator[Proposer]:
        length, most = len(opening.prefix.token_ids), self._basis.max_length
        if length > most:
            raise InvalidRequest(
                "open.prefix.token_ids", length, f"{self.name} holds {most} tokens"
            )
        fingerprint = opening.prefix.tokenizer_fingerprint
        sources, confidence = self._lookups.sources(fingerprint), self._basis.min_confidence
        proposer = SuffixProposer(opening.plan, sources, confidence)
        proposer.append(opening.prefix.token_ids)
        try:
            yield proposer
        finally:
            self._lookups.remember(fingerprint, proposer.committed(opening.num_prompt_tokens))


class SuffixProposer:
    """Follows one sequence and proposes what the sources guess, the first named asked first."""

    def __init__(self, plan: Plan, sources: Sequence[Source], min_confidence: float) -> None:
        self._sequence = LookupSession(plan.tier, sources)
        self._min_confidence = min_confidence
        self._cut_at: int | None = None  # where the sequence was cut, until it goes on
        self._compute_s = 0.0
        self.replan(plan)

    def committed(self, start: int) -> list[int]:
        """Return the tokens from `start` on that the parent committed."""
        self._settle()
        return self._sequence.committed(start)

    def cut(self, length: int) -> None:
        """Drop every token from position `length` on; the parent committed those before it."""
        self._cut_at = length

    def append(self, token_ids: Sequence[int]) -> None:
        """Add tokens that the parent committed."""
        length = len(self._sequence) if self._cut_at is None else self._cut_at
        self._sequence.follow(length, token_ids)
        self._cut_at = None

    async def propose(self, max_tokens: int) -> Proposal | None:
        """Look up what followed before; fewer tokens than asked for end the run."""
        began = time.perf_counter()
        self._settle()
        confidence = self._plan.draft_confidence or self._min_confidence
        found = self._sequence.propose(max_tokens, confidence)
        tokens = tuple(found.tokens)
        compute_s = time.perf_counter() - began
        self._compute_s += compute_s
        sources = (self._plan.tier,) * len(tokens)
        num_unsure = None if len(tokens) == max_tokens else 0
        return Proposal(tokens, sources, compute_s, num_unsure, tuple(found.confidences))

    def replan(self, plan: Plan) -> None:
        """Take a new draft_confidence; raises PlanRefused for drafters below a tier of no model."""
        if plan.drafters:
            raise PlanRefused(f"{plan.tier} has no model: nothing can draft for it")
        self._plan = plan

    def stats(self) -> tuple[list[PairStats], list[TierStats]]:
        """Return the time that look-ups took."""
        return [], [TierStats(self._plan.tier, compute_s=self._compute_s)]

    async def close(self) -> None:
        """Hold nothing."""

    def _settle(self) -> None:
        """Take a cut as it is if nothing was committed in place of what it took away."""
        if self._cut_at is not None:
            self.append(())
