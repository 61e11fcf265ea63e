"""A tier without a model: drafts what followed the last tokens before."""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tiercel.engines.suffix import SuffixIndex, SuffixPool
from tiercel.errors import InvalidRequest, PlanRefused
from tiercel.replies import TierDescription
from tiercel.speculation.draft_server import Drafts, DraftServer
from tiercel.speculation.proposer import Proposal, Proposer
from tiercel.speculation.request import Lost
from tiercel.speculation.slots import Slots
from tiercel.types import PairStats, Plan, TierStats
from tiercel.wire.draft import DraftOpening


@dataclass(frozen=True)
class Evidence:
    """What the drafts of a suffix tier rest on."""

    min_confidence: float
    pool_tokens: int  # of recent outputs, for each of a few tokenizers
    max_length: int  # of a sequence


# The least recently used pools are dropped: who opens a stream names its tokenizer at will.
_MAX_POOLS = 4


class SuffixTier:
    """Serves drafts in any vocabulary; recent outputs are pooled by tokenizer."""

    def __init__(
        self, name: str, evidence: Evidence, *, max_sessions: int, heartbeat_s: float
    ) -> None:
        self.name, self._evidence = name, evidence
        self._slots = Slots(name, max_sessions)
        self._pools: OrderedDict[str, SuffixPool] = OrderedDict()
        self._born = time.monotonic()
        drafts = Drafts(tier=name, heartbeat_s=heartbeat_s)
        self.draft_server = DraftServer(drafts, self._slots, self._proposer)

    def describe(self) -> TierDescription:
        """Return what this replica is, and its load."""
        return TierDescription(
            tier=self.name,
            model="",
            engine="suffix",
            dtype="",
            numerics_id="",
            bit_exact=True,
            tokenizer_fingerprint="",
            vocab_size=0,
            max_length=self._evidence.max_length,
            verifies=False,
            drafts=True,
            num_sessions=self._slots.num_taken,
            max_sessions=self._slots.most,
            num_waiting_passes=0,
            uptime_s=time.monotonic() - self._born,
        )

    async def close(self) -> None:
        """Forget the pooled outputs."""
        self._pools.clear()

    @asynccontextmanager
    async def _proposer(
        self, opening: DraftOpening, deadline: float, lost: Lost
    ) -> AsyncIterator[Proposer]:
        length, most = len(opening.prefix.token_ids), self._evidence.max_length
        if length > most:
            raise InvalidRequest(
                "open.prefix.token_ids", length, f"{self.name} holds {most} tokens"
            )
        pool = self._pool(opening.prefix.tokenizer_fingerprint)
        proposer = SuffixProposer(opening.plan, pool, self._evidence.min_confidence)
        proposer.append(opening.prefix.token_ids)
        try:
            yield proposer
        finally:
            if pool is not None:
                pool.add(proposer.committed(opening.num_prompt_tokens))

    def _pool(self, fingerprint: str) -> SuffixPool | None:
        if not self._evidence.pool_tokens:
            return None
        if fingerprint not in self._pools:
            self._pools[fingerprint] = SuffixPool(self._evidence.pool_tokens)
        self._pools.move_to_end(fingerprint)
        if len(self._pools) > _MAX_POOLS:
            self._pools.popitem(last=False)
        return self._pools[fingerprint]


class SuffixProposer:
    """Follows one sequence and proposes from an index of it and of recent outputs."""

    def __init__(self, plan: Plan, pool: SuffixPool | None, min_confidence: float) -> None:
        self._index = SuffixIndex(*([pool] if pool is not None else []))
        self._min_confidence = min_confidence
        self._tokens: list[int] = []
        self._committed_length = 0
        self._compute_s = 0.0
        self.replan(plan)

    def committed(self, start: int) -> list[int]:
        """Return the tokens from `start` on that the parent committed."""
        return self._tokens[start : self._committed_length]

    def cut(self, length: int) -> None:
        """Drop every token from position `length` on."""
        del self._tokens[length:]
        self._index.truncate(length)
        self._committed_length = min(self._committed_length, length)

    def append(self, token_ids: Sequence[int]) -> None:
        """Add tokens that the parent committed."""
        self._extend(token_ids)
        self._committed_length = len(self._tokens)

    async def propose(self, max_tokens: int) -> Proposal | None:
        """Look up what followed before; fewer tokens than asked for end the run."""
        began = time.perf_counter()
        confidence = self._plan.draft_confidence or self._min_confidence
        token_ids = self._index.propose(max_tokens, confidence)
        self._extend(token_ids)
        compute_s = time.perf_counter() - began
        self._compute_s += compute_s
        sources = (self._plan.tier,) * len(token_ids)
        num_unsure = None if len(token_ids) == max_tokens else 0
        return Proposal(tuple(token_ids), sources, compute_s, num_unsure)

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

    def _extend(self, token_ids: Sequence[int]) -> None:
        self._tokens += token_ids
        self._index.append(token_ids)
