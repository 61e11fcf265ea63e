"""The parent's end of one draft stream: tells the truth, holds what the drafter proposes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import grpc

from tiercel import errors
from tiercel.draft_stream import Advance, BlockFate, Judgement, ParentSide, TokenSequence
from tiercel.draft_stream.messages import distributions_of, probs_of
from tiercel.speculation.chatter import Chatter
from tiercel.speculation.connection import DrafterConnection
from tiercel.speculation.hidden_states import HiddenFeed
from tiercel.speculation.link import NO_DRAFT, Draft
from tiercel.speculation.request import Request
from tiercel.speculation.statistics import Stats, credible_pairs, credible_tiers, merged
from tiercel.types import Plan
from tiercel.v1 import drafter_pb2 as pb
from tiercel.wire.draft import DraftOpening, advance_to_pb, block_from_pb, resync_from_pb
from tiercel.wire.plans import MAX_SPECULATIVE_TOKENS, plan_to_pb
from tiercel.wire.results import pair_from_pb, tier_from_pb, to_ns, to_s


@dataclass(frozen=True)
class Arrival:
    """A block that came."""

    num_tokens: int
    compute_s: float  # that its drafter says it took
    is_awaited: bool  # it answers the last question: with tokens, or that there are none


class Owner(Protocol):
    """Whom a stream tells what happens on it."""

    def opening(self) -> None:
        """Note that a stream is opened, perhaps anew."""
        ...

    def changed(self, *, is_opened: bool = False) -> None:
        """Note that `draft`, `is_open` or `is_exhausted` may say something new."""
        ...

    def arrived(self, arrival: Arrival) -> None:
        """Note that a block came."""
        ...

    def judged(self, judgement: Judgement) -> None:
        """Note what became of tokens of the drafter's."""
        ...

    def lost(self, path: tuple[str, ...], reason: str, *, unreachable: bool) -> None:
        """Note that this drafter (an empty path), or one below it, was lost."""
        ...


class DraftStreamClient:
    """One drafter's stream, opened again when it is lost; everything counts from the newest one."""

    def __init__(
        self,
        plan: Plan,
        request: Request,
        sequence: TokenSequence,
        channel: grpc.aio.Channel,
        owner: Owner,
        hidden: HiddenFeed,
        on_mismatch: Callable[[str], None],
    ) -> None:
        """Start connecting; `hidden` gives the parent's states if the drafter asks for them.

        `on_mismatch` is told why the drafter refuses the vocabulary; then this stream is over.
        """
        self.below: Stats = ([], [])
        self._below_before: Stats = ([], [])  # of streams that are no more
        self._plan, self._request, self._sequence = plan, request, sequence
        self._owner, self._hidden, self._on_mismatch = owner, hidden, on_mismatch
        self._side: ParentSide | None = None
        self._chatter = Chatter(time.monotonic())
        self._opened = False  # the drafter answered: before that nothing can be due
        self._kept_length = len(sequence)  # of what the drafter was told, still true
        self._rejected_from: int | None = None  # position in the run, and since the last advance
        self._num_wanted, self._num_ahead = plan.num_speculative_tokens, 0
        # Of the tiers that may appear in what comes up.
        self._names = {part.tier for part in plan.walk()}
        self._connection = DrafterConnection(
            channel, self, deadline=request.deadline, heartbeat_s=request.heartbeat_s
        )

    @property
    def is_open(self) -> bool:
        """Whether the drafter answered, and the stream lives."""
        return self._side is not None and self._opened

    @property
    def is_over(self) -> bool:
        """Whether it has given up: the drafter refused what trying again cannot mend."""
        return self._connection.is_over

    @property
    def is_exhausted(self) -> bool:
        """Whether the drafter said that it has nothing more to propose."""
        return self._side is not None and self._side.exhausted

    def draft(self, most: int) -> Draft:
        """Return at most `most` tokens after the parent's sequence; none if it lags behind."""
        side = self._side
        if side is None or side.committed_length != len(self._sequence):
            return NO_DRAFT
        origins = side.origins[:most]
        sources = tuple(origin.source for origin in origins)
        return Draft(tuple(side.run[:most]), sources, probs_of(origins), distributions_of(origins))

    def advance(self, num_wanted: int, num_ahead: int, compute_s: float) -> bool:
        """Tell an open drafter what is committed by now, and how many tokens are wanted.

        It may run `num_ahead` tokens ahead of these. `compute_s` is what the parent's last pass
        took. Returns whether there was anything to say.
        """
        side = self._side
        assert side is not None, "only an open drafter is asked"
        self._num_wanted, self._num_ahead = num_wanted, num_ahead
        keep = min(self._kept_length, side.committed_length)
        tokens = self._sequence.tokens(keep)
        if keep == side.committed_length and not tokens:
            return False
        advance, judgement = side.advance(
            keep,
            tokens,
            max_tokens_ahead=num_wanted + num_ahead,
            num_speculative_tokens=num_wanted,
            rejected_from=self._rejected_from,
        )
        self._kept_length, self._rejected_from = side.committed_length, None
        self._judged(judgement)
        self._tell(advance, compute_s)
        self._chatter.question()
        return True

    def rejected(self, position: int) -> None:
        """Note that of what `draft` returned, the tokens from `position` on were rejected."""
        self._rejected_from = position

    def cut(self, length: int) -> None:
        """Note that the parent's sequence was cut; the drafter learns it with the next Advance."""
        self._kept_length = min(self._kept_length, length)

    def replan(self, plan: Plan) -> None:
        """Pass a new plan for the same drafter on; it takes effect at its next block."""
        self._plan = plan
        self._names |= {part.tier for part in plan.walk()}
        self._connection.send(pb.DraftRequest(replan=plan_to_pb(plan)))

    async def close(self) -> None:
        """End the stream."""
        self._hidden.close()
        await self._connection.close()

    def opening(self) -> DraftOpening:
        """Begin a stream: what was sent before is void."""
        self._side, self._kept_length = ParentSide(self._sequence), len(self._sequence)
        self._rejected_from = None
        self._opened = False
        self._owner.opening()
        self._chatter = Chatter(time.monotonic())
        return self._request.opening(self._plan, self._sequence)

    def ended(self) -> None:
        """Note that the stream is no more."""
        self._side, self._below_before = None, self.below
        self._owner.changed()

    def lost(self, reason: str, *, unreachable: bool) -> None:
        """Say why the stream was lost."""
        self._owner.lost((), reason, unreachable=unreachable)

    def mismatched(self, reason: str) -> None:
        """Say that the drafter refuses ids of this vocabulary."""
        self._on_mismatch(reason)

    def take(self, message: pb.DraftResponse) -> None:
        """Take a message of the drafter's; raises InvalidRequest for nonsense and floods."""
        kind = message.WhichOneof("message")
        if self._chatter.is_flood(time.monotonic()):
            raise errors.InvalidRequest("message", kind, "one too many that brings nothing")
        if kind == "opened":
            self._opened = True
            self._hidden.opened(message.opened.hidden_size, message.opened.hidden_digest)
            self._owner.changed(is_opened=True)
        elif kind == "block":
            self._take_block(message.block)
        elif kind == "resync":
            self._take_resync(message.resync)
        elif kind == "drafter_lost":
            lost = message.drafter_lost
            self._owner.lost(tuple(lost.path), lost.reason, unreachable=lost.unreachable)
        elif kind == "go_away":
            raise errors.Unavailable(f"the drafter leaves: {message.go_away.reason}")

    def _take_block(self, message: pb.DraftBlock) -> None:
        side = self._side
        assert side is not None, "a block is taken only while the stream is open"
        most = MAX_SPECULATIVE_TOKENS + self._request.tokens_ahead - len(side.run)
        block = block_from_pb(
            message,
            vocab_size=self._request.vocab_size,
            max_tokens=most,
            evidence=self._request.evidence,
        )
        sources = tuple(self._known(source) for source in block.sources)
        fate, judgement = side.on_block(replace(block, sources=sources))
        self._judged(judgement)
        if fate is BlockFate.NEW:
            self._chatter.useful()
            self._connection.useful()
        is_awaited = fate is BlockFate.NEW or side.exhausted
        self._owner.arrived(Arrival(len(block.token_ids), to_s(message.compute_ns), is_awaited))
        pairs = (pair_from_pb(pair) for pair in message.pairs)
        tiers = (tier_from_pb(tier) for tier in message.tiers)
        newest = credible_pairs(pairs, self._names), credible_tiers(tiers, self._names)
        self.below = merged(self._below_before, newest)
        self._owner.changed()

    def _tell(self, advance: Advance, compute_s: float = 0.0) -> None:
        length = advance.keep_length + len(advance.token_ids)
        states = self._hidden.rows(length, advance.keep_length)
        message = advance_to_pb(advance, compute_ns=to_ns(compute_s), hidden_states=states)
        self._connection.send(pb.DraftRequest(advance=message))

    def _known(self, source: str) -> str:
        """Return who proposed a token, as far as the drafter may say so."""
        return source if source in self._names else self._plan.tier

    def _take_resync(self, message: pb.Resync) -> None:
        assert self._side is not None, "a resync is taken only while the stream is open"
        advance = self._side.on_resync(
            resync_from_pb(message),
            max_tokens_ahead=self._num_wanted + self._num_ahead,
            num_speculative_tokens=self._num_wanted,
        )
        if advance is not None:
            self._tell(advance)

    def _judged(self, judgement: Judgement | None) -> None:
        if judgement is not None:
            self._owner.judged(judgement)
