"""A parent's view of one drafter: tells it the truth, holds what it proposes, judges its worth."""

import sys
import time
from dataclasses import dataclass, field, replace

import grpc

from tiercel import errors
from tiercel.draft_stream import Advance, BlockFate, Judgement, ParentSide, TokenSequence
from tiercel.speculation.chatter import Chatter
from tiercel.speculation.connection import DrafterConnection
from tiercel.speculation.hidden_states import HiddenFeed
from tiercel.speculation.length import Costs, Length
from tiercel.speculation.pace import Pace
from tiercel.speculation.request import Observer, Request
from tiercel.speculation.statistics import count_judgement, credible_pairs, credible_tiers
from tiercel.types import PairStats, Plan, TierStats
from tiercel.v1 import drafter_pb2 as pb
from tiercel.wire.draft import DraftOpening, advance_to_pb, block_from_pb, resync_from_pb
from tiercel.wire.plans import MAX_SPECULATIVE_TOKENS, plan_to_pb
from tiercel.wire.results import pair_from_pb, tier_from_pb, to_ns, to_s


@dataclass
class DrafterLink:
    """One drafter of one request. `sync` tells it the truth, `run` is what it proposes next."""

    plan: Plan
    request: Request
    sequence: TokenSequence  # the parent's; read, never changed
    channel: grpc.aio.Channel
    observer: Observer
    hidden: HiddenFeed  # the parent's hidden states, if the drafter asks for them
    pair: PairStats = field(init=False)
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        """Start connecting."""
        self.pair = PairStats(self.plan.tier, self.request.parent)
        self.pace = Pace(opened_at=time.monotonic(), always=self.request.always_draft)
        self.length, self.num_wanted = Length(), self.plan.num_speculative_tokens
        self.ahead = self.request.ahead(self.plan.address)
        self._side: ParentSide | None = None
        self._chatter = Chatter(time.monotonic())
        self._opened = False  # the drafter answered: before that nothing can be due
        self._kept_length = len(self.sequence)  # of what the drafter was told, still true
        self._below: tuple[list[PairStats], list[TierStats]] = ([], [])
        # Of the tiers that may appear in what comes up.
        self._names = {part.tier for part in self.plan.walk()}
        self._connection = DrafterConnection(
            self.channel,
            self,
            deadline=self.request.deadline,
            heartbeat_s=self.request.heartbeat_s,
        )

    @property
    def run(self) -> list[int]:
        """Tokens that the drafter proposes after the parent's sequence; none if it lags behind."""
        side = self._side
        is_synced = side is not None and side.committed_length == len(self.sequence)
        return side.run if side is not None and is_synced and self._is_asked else []

    @property
    def sources(self) -> list[str]:
        """Who proposed each token of `run`."""
        return self._side.sources if self._side else []

    @property
    def is_open(self) -> bool:
        """Whether the drafter answered, and the stream lives."""
        return self._side is not None and self._opened

    @property
    def is_over(self) -> bool:
        """Whether the link has given up: the drafter refused what trying again cannot mend."""
        return self._connection.is_over

    @property
    def num_unattended(self) -> int:
        """Tokens that the parent may decode without looking here; it is told of any change."""
        if not self.is_open:
            return sys.maxsize
        return self.pace.num_resting(len(self.sequence))

    def is_due(self, plain_s: float) -> bool:
        """Return whether to wait for a block, plain decoding taking `plain_s` for each token."""
        side = self._side
        if side is None or not self.is_open or side.exhausted or not self._is_asked:
            return False
        return self.pace.pays(plain_s, self.num_wanted + 1)

    def ask(self, costs: Costs, most: int) -> None:
        """Tell the drafter what the parent's sequence is by now, and ask for what pays.

        That is at most `most` tokens. If nothing pays the drafter is left alone, and told nothing.
        """
        # A message that meets a refusal would hide its reason: gRPC then says INTERNAL.
        if not self.is_open or not self._is_asked:
            return
        self.num_wanted = min(most, self.plan.num_speculative_tokens)
        if not self.request.always_draft:
            self.num_wanted = self.length.choose(
                costs, self.num_wanted, on_trial=self.pace.is_on_trial
            )
        if self.num_wanted:
            self._sync(costs.last_s)
        else:
            self.pace.rest(len(self.sequence))
            self.length.rested()

    def _sync(self, compute_s: float) -> None:
        side = self._side
        assert side is not None, "only an open drafter is asked"
        keep = min(self._kept_length, side.committed_length)
        tokens = self.sequence.tokens(keep)
        if keep == side.committed_length and not tokens:
            return
        advance, judgement = side.advance(
            keep,
            tokens,
            max_tokens_ahead=self.num_wanted + self.ahead.num_tokens,
            num_speculative_tokens=self.num_wanted,
        )
        self._kept_length = side.committed_length
        self._judged(judgement)
        self._tell(advance, compute_s)
        self._chatter.question()
        self.pace.asked(time.monotonic())

    def cut(self, length: int) -> None:
        """Note that the parent's sequence was cut; the drafter learns it with the next `sync`."""
        self._kept_length = min(self._kept_length, length)

    def replan(self, plan: Plan) -> None:
        """Pass a new plan for the same drafter on; it takes effect at its next block."""
        self.plan = plan
        self._names |= {part.tier for part in plan.walk()}
        self._connection.send(pb.DraftRequest(replan=plan_to_pb(plan)))

    def late(self) -> None:
        """Note that the parent does not wait any longer for this block."""
        self.pair.num_late += 1

    def round(self, seconds: float, num_drafted: int, num_tokens: int, plain_s: float) -> None:
        """Note what it took to wait for a block and verify it, and how many tokens that brought."""
        self.pace.round(seconds, num_tokens, plain_s, len(self.sequence))
        if num_drafted:
            self.ahead.round(seconds, num_drafted, self.length.acceptance_rate)

    def stats(self) -> tuple[list[PairStats], list[TierStats]]:
        """Return what this drafter and the tiers below it did."""
        pairs, tiers = self._below
        return [self.pair, *pairs], tiers

    async def close(self) -> None:
        """End the stream."""
        self.hidden.close()
        await self._connection.close()

    def opening(self) -> DraftOpening:
        """Begin a stream: what was sent before is void, what is known of the drafter stays."""
        self._side, self._kept_length = ParentSide(self.sequence), len(self.sequence)
        self._opened = False
        self.pace.reopened(time.monotonic())
        self._chatter = Chatter(time.monotonic())
        return self.request.opening(self.plan, self.sequence)

    def ended(self) -> None:
        """Note that the stream is no more."""
        self._side = None
        self.observer.changed()

    def lost(self, reason: str, *, unreachable: bool) -> None:
        """Tell the parent why the stream was lost."""
        self.observer.lost((self.plan.tier,), reason, unreachable)

    def take(self, message: pb.DraftResponse) -> None:
        """Take a message of the drafter's; raises InvalidRequest for nonsense and floods."""
        kind = message.WhichOneof("message")
        if self._chatter.is_flood(time.monotonic()):
            raise errors.InvalidRequest("message", kind, "one too many that brings nothing")
        if kind == "opened":
            self._opened = True
            self.hidden.opened(message.opened.hidden_size, message.opened.hidden_digest)
            self.pace.asked(time.monotonic())
            self.observer.changed()
        elif kind == "block":
            self._take_block(message.block)
        elif kind == "resync":
            self._take_resync(message.resync)
        elif kind == "drafter_lost":
            lost = message.drafter_lost
            path = (self.plan.tier, *lost.path)
            self.observer.lost(path, lost.reason, lost.unreachable)
        elif kind == "go_away":
            raise errors.Unavailable(f"the drafter leaves: {message.go_away.reason}")

    @property
    def _is_asked(self) -> bool:
        return self.pace.is_asked(len(self.sequence))

    def _take_block(self, message: pb.DraftBlock) -> None:
        side = self._side
        assert side is not None, "a block is taken only while the stream is open"
        most = MAX_SPECULATIVE_TOKENS + self.request.tokens_ahead - len(side.run)
        block = block_from_pb(message, vocab_size=self.request.vocab_size, max_tokens=most)
        sources = tuple(self._known(source) for source in block.sources)
        fate, judgement = side.on_block(replace(block, sources=sources))
        self._judged(judgement)
        if fate is BlockFate.NEW:
            self._chatter.useful()
            self._connection.useful()
        if fate is BlockFate.NEW or side.exhausted:
            latency_s = self.pace.arrived(time.monotonic())
            if latency_s is not None and block.token_ids:
                compute_s = to_s(message.compute_ns)
                self.length.arrived(latency_s, compute_s, len(block.token_ids))
        self.pair.draft_compute_s += to_s(message.compute_ns)
        pairs = (pair_from_pb(pair) for pair in message.pairs)
        tiers = (tier_from_pb(tier) for tier in message.tiers)
        self._below = credible_pairs(pairs, self._names), credible_tiers(tiers, self._names)
        self.observer.changed()

    def _tell(self, advance: Advance, compute_s: float = 0.0) -> None:
        states = self.hidden.rows(advance.keep_length + len(advance.token_ids), advance.keep_length)
        message = advance_to_pb(advance, compute_ns=to_ns(compute_s), hidden_states=states)
        self._connection.send(pb.DraftRequest(advance=message))

    def _known(self, source: str) -> str:
        """Return who proposed a token, as far as the drafter may say so."""
        return source if source in self._names else self.plan.tier

    def _take_resync(self, message: pb.Resync) -> None:
        side, num_wanted = self._side, self.num_wanted
        assert side is not None, "a resync is taken only while the stream is open"
        advance = side.on_resync(
            resync_from_pb(message),
            max_tokens_ahead=num_wanted + self.ahead.num_tokens,
            num_speculative_tokens=num_wanted,
        )
        if advance is not None:
            self._tell(advance)

    def _judged(self, judgement: Judgement | None) -> None:
        if judgement is not None:
            self.length.judged(judgement.num_accepted, judgement.num_rejected)
            count_judgement(self.pair, judgement)
