"""A tier without a model: drafts what followed the last tokens before, here or in a table."""

import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from services.drafter.given_texts import given_texts
from services.drafter.suffix_scores import scored_texts
from tiercel import telemetry
from tiercel.engines.combined import CombinedDrafter
from tiercel.engines.guesses import Source
from tiercel.engines.ngram import NgramSource, NgramTable
from tiercel.engines.suffix import SuffixIndex, SuffixPool
from tiercel.errors import InvalidRequest, PlanRefused
from tiercel.replies import TierDescription
from tiercel.scores import ScoreAsk, Scores
from tiercel.speculation.draft_server import Drafts, DraftServer
from tiercel.speculation.proposer import Proposal, Proposer
from tiercel.speculation.request import Lost
from tiercel.speculation.scoring import check_scored, scoring
from tiercel.speculation.slots import Slots
from tiercel.types import PairStats, Plan, TierStats
from tiercel.wire.draft import DraftOpening


@dataclass(frozen=True)
class Evidence:
    """What the drafts of a suffix tier rest on."""

    min_confidence: float
    pool_tokens: int  # of recent outputs, for each of a few tokenizers
    max_length: int  # of a sequence
    table: NgramTable | None = None  # used for sequences of its own tokenizer


# The least recently used pools are dropped: who opens a stream names its tokenizer at will.
_MAX_POOLS = 4

_log = structlog.get_logger()


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
        table = self._evidence.table
        return TierDescription(
            tier=self.name,
            model=f"{table.header.model} n-grams" if table is not None else "",
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

    async def score(self, ask: ScoreAsk, deadline: float) -> Scores:
        """Say what would have been drafted; raises as `scoring` and `given_texts` do."""
        async with scoring(self._slots, deadline):
            texts = given_texts(ask, self.name)
            check_scored(texts.continuations, len(texts.prompt), self._evidence.max_length)
            drafter = CombinedDrafter(*self._sources(texts.fingerprint))
            scored = await scored_texts(drafter, texts, self._evidence.min_confidence)
        return Scores(tuple(scored), self.name)

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
        fingerprint = opening.prefix.tokenizer_fingerprint
        sources, confidence = self._sources(fingerprint), self._evidence.min_confidence
        proposer = SuffixProposer(opening.plan, sources, confidence)
        proposer.append(opening.prefix.token_ids)
        try:
            yield proposer
        finally:
            if (pool := self._pool(fingerprint)) is not None:
                pool.add(proposer.committed(opening.num_prompt_tokens))

    def _sources(self, fingerprint: str) -> list[Source]:
        pool = self._pool(fingerprint)
        sources: list[Source] = [SuffixIndex(*([pool] if pool is not None else []))]
        if (table := self._table(fingerprint)) is not None:
            sources.append(NgramSource(table))
        return sources

    def _table(self, fingerprint: str) -> NgramTable | None:
        """Return the table if its ids mean in this vocabulary what they mean in its own."""
        table = self._evidence.table
        if table is None or table.header.tokenizer_fingerprint == fingerprint:
            return table
        _log.debug("the n-gram table is of another tokenizer", tokenizer=fingerprint)
        return None

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
    """Follows one sequence and proposes what the sources guess, the first named asked first."""

    def __init__(self, plan: Plan, sources: Sequence[Source], min_confidence: float) -> None:
        self._drafter = CombinedDrafter(*sources)
        self._min_confidence = min_confidence
        self._tokens: list[int] = []
        self._committed_length = 0
        self._undecided: list[str] = []  # the source of each token that is not committed
        self._disputed: str | None = None  # the source of the token that a cut has just removed
        self._compute_s = 0.0
        self.replan(plan)

    def committed(self, start: int) -> list[int]:
        """Return the tokens from `start` on that the parent committed."""
        return self._tokens[start : self._committed_length]

    def cut(self, length: int) -> None:
        """Drop every token from position `length` on; the parent committed those before it."""
        num_accepted = length - self._committed_length
        is_known = 0 <= num_accepted < len(self._undecided)
        self._disputed = self._undecided[num_accepted] if is_known else None
        self._accept(self._undecided[: max(0, num_accepted)])
        del self._tokens[length:]
        self._drafter.truncate(length)
        self._committed_length = length

    def append(self, token_ids: Sequence[int]) -> None:
        """Add tokens that the parent committed."""
        self._accept(self._undecided)
        if self._disputed is not None:
            telemetry.count_guesses(self._plan.tier, self._disputed, "rejected", 1)
            self._disputed = None
        self._tokens += token_ids
        self._drafter.append(token_ids)
        self._committed_length = len(self._tokens)

    async def propose(self, max_tokens: int) -> Proposal | None:
        """Look up what followed before; fewer tokens than asked for end the run."""
        began = time.perf_counter()
        confidence = self._plan.draft_confidence or self._min_confidence
        draft = self._drafter.propose(max_tokens, confidence)
        self._tokens += draft.tokens
        self._undecided += draft.sources
        self._disputed = None
        compute_s = time.perf_counter() - began
        self._compute_s += compute_s
        sources = (self._plan.tier,) * len(draft.tokens)
        num_unsure = None if len(draft.tokens) == max_tokens else 0
        return Proposal(tuple(draft.tokens), sources, compute_s, num_unsure)

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

    def _accept(self, sources: Sequence[str]) -> None:
        """Count guesses that the parent made its own; nothing stays undecided."""
        for source, number in Counter(sources).items():
            telemetry.count_guesses(self._plan.tier, source, "accepted", number)
        self._undecided = []
