"""A parent's connection to one drafter: opens the stream, keeps it, opens it again when lost."""

import asyncio
import time
from dataclasses import dataclass, field

import grpc

from tiercel import errors, rpc
from tiercel.draft_stream import BlockFate, Judgement, ParentSide, TokenSequence
from tiercel.speculation.chatter import Chatter
from tiercel.speculation.pace import Pace
from tiercel.speculation.request import Observer, Request
from tiercel.types import PairStats, Plan, TierStats
from tiercel.v1 import decoding_pb2, drafter_pb2_grpc
from tiercel.v1 import drafter_pb2 as pb
from tiercel.wire.draft import advance_to_pb, block_from_pb, opening_to_pb, resync_from_pb
from tiercel.wire.plans import MAX_SPECULATIVE_TOKENS, plan_to_pb
from tiercel.wire.results import pair_from_pb, tier_from_pb, to_s

# Trying again cannot mend these.
_FINAL = (
    errors.TokenizerMismatch,
    errors.InvalidRequest,
    errors.PlanRefused,
    errors.Unsupported,
    errors.ModelUnavailable,
)
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.2, 5.0
# How long a clean end may take before the call is cut off.
_FINISH_S = 0.5


@dataclass
class DrafterLink:
    """One drafter of one request. `sync` tells it the truth, `run` is what it proposes next."""

    plan: Plan
    request: Request
    sequence: TokenSequence  # the parent's; read, never changed
    channel: grpc.aio.Channel
    observer: Observer
    pair: PairStats = field(init=False)
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        """Start connecting."""
        self.pair = PairStats(self.plan.tier, self.request.parent)
        self.pace = self._new_pace()
        self._side: ParentSide | None = None
        self._chatter = Chatter(time.monotonic())
        self._opened = False  # the drafter answered: before that nothing can be due
        self._outbox: rpc.Outbox[pb.DraftRequest] | None = None
        self._kept_length = len(self.sequence)  # of what the drafter was told, still true
        self._below: tuple[list[PairStats], list[TierStats]] = ([], [])
        self._task = asyncio.create_task(self._keep())

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

    def is_due(self, plain_s: float) -> bool:
        """Return whether to wait for a block, plain decoding taking `plain_s` for each token."""
        side = self._side
        if side is None or not self.is_open or side.exhausted or not self._is_asked:
            return False
        return self.pace.pays(plain_s, self.plan.num_speculative_tokens + 1)

    def sync(self, num_wanted: int) -> None:
        """Tell the drafter what the parent's sequence is by now, and ask for so many tokens."""
        side = self._side
        # A message that meets a refusal would hide its reason: gRPC then says INTERNAL.
        if side is None or not self.is_open or not self._is_asked:
            return
        keep = min(self._kept_length, side.committed_length)
        tokens = self.sequence.tokens(keep)
        if keep == side.committed_length and not tokens:
            return
        advance, judgement = side.advance(
            keep,
            tokens,
            max_tokens_ahead=num_wanted + self.request.tokens_ahead,
            num_speculative_tokens=num_wanted,
        )
        self._kept_length = side.committed_length
        self._judged(judgement)
        self._send(pb.DraftRequest(advance=advance_to_pb(advance)))
        self._chatter.question()
        self.pace.asked(time.monotonic())

    def cut(self, length: int) -> None:
        """Note that the parent's sequence was cut; the drafter learns it with the next `sync`."""
        self._kept_length = min(self._kept_length, length)

    def replan(self, plan: Plan) -> None:
        """Pass a new plan for the same drafter on; it takes effect at its next block."""
        self.plan = plan
        self._send(pb.DraftRequest(replan=plan_to_pb(plan)))

    def late(self) -> None:
        """Note that the parent does not wait any longer for this block."""
        self.pair.num_late += 1

    def stats(self) -> tuple[list[PairStats], list[TierStats]]:
        """Return what this drafter and the tiers below it did."""
        pairs, tiers = self._below
        return [self.pair, *pairs], tiers

    async def close(self) -> None:
        """End the stream cleanly if the drafter plays along, and in any case."""
        if self._outbox:
            self._send(pb.DraftRequest(finish=pb.DraftFinish()))
            self._outbox.close()
            await asyncio.wait({self._task}, timeout=_FINISH_S)
        self._task.cancel()
        await asyncio.wait({self._task})

    @property
    def _is_asked(self) -> bool:
        return self.pace.is_asked(len(self.sequence))

    async def _keep(self) -> None:
        backoff = _FIRST_BACKOFF_S
        while True:
            opened_at = time.monotonic()
            try:
                with rpc.translated():
                    await self._stream()
                return
            except errors.TiercelError as error:
                self.observer.lost((self.plan.tier,), str(error))
                if isinstance(error, _FINAL):
                    return
            if time.monotonic() - opened_at > _LONGEST_BACKOFF_S:
                backoff = _FIRST_BACKOFF_S
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _LONGEST_BACKOFF_S)

    async def _stream(self) -> None:
        """Run one stream to its end; returns only after a clean `finish`."""
        interval_s = self.request.heartbeat_s
        outbox = rpc.Outbox(_heartbeat, interval_s=interval_s)
        opening = self.request.opening(self.plan, self.sequence)
        outbox.put(pb.DraftRequest(open=opening_to_pb(opening)))
        self._side, self._kept_length = ParentSide(self.sequence), len(self.sequence)
        self._opened = False
        self.pace, self._chatter = self._new_pace(), Chatter(time.monotonic())
        remaining_s = self.request.deadline - asyncio.get_running_loop().time()
        stub = drafter_pb2_grpc.DrafterStub(self.channel)
        call = stub.Draft(aiter(outbox), timeout=max(0.0, remaining_s))
        inbox = rpc.Inbox(aiter(call), interval_s=interval_s)
        self._outbox = outbox
        try:
            while (message := await inbox.get()) is not None:
                self._take(message)
            if not outbox.closed:
                raise errors.Unavailable("the drafter ended the stream")
        finally:
            self._outbox = self._side = None
            inbox.close()
            outbox.close()
            call.cancel()
            self.observer.changed()

    def _take(self, message: pb.DraftResponse) -> None:
        kind = message.WhichOneof("message")
        if self._chatter.is_flood(time.monotonic()):
            raise errors.InvalidRequest("message", kind, "one too many that brings nothing")
        if kind == "opened":
            self._opened = True
            self.pace.asked(time.monotonic())
        elif kind == "block":
            self._take_block(message.block)
        elif kind == "resync":
            self._take_resync(message.resync)
        elif kind == "drafter_lost":
            lost = message.drafter_lost
            self.observer.lost((self.plan.tier, *lost.path), lost.reason)
        elif kind == "go_away":
            raise errors.Unavailable(f"the drafter leaves: {message.go_away.reason}")

    def _take_block(self, message: pb.DraftBlock) -> None:
        side = self._side
        assert side is not None, "a block is taken only while the stream is open"
        most = MAX_SPECULATIVE_TOKENS + self.request.tokens_ahead - len(side.run)
        block = block_from_pb(message, vocab_size=self.request.vocab_size, max_tokens=most)
        fate, judgement = side.on_block(block)
        self._judged(judgement)
        if fate is BlockFate.NEW:
            self._chatter.useful()
        if fate in (BlockFate.NEW, BlockFate.NOTHING):
            self.pace.arrived(time.monotonic())
        self.pair.draft_compute_s += to_s(message.compute_ns)
        self._below = (
            [pair_from_pb(pair) for pair in message.pairs],
            [tier_from_pb(tier) for tier in message.tiers],
        )
        self.observer.changed()

    def _take_resync(self, message: pb.Resync) -> None:
        side, num_wanted = self._side, self.plan.num_speculative_tokens
        assert side is not None, "a resync is taken only while the stream is open"
        advance = side.on_resync(
            resync_from_pb(message),
            max_tokens_ahead=num_wanted + self.request.tokens_ahead,
            num_speculative_tokens=num_wanted,
        )
        if advance is not None:
            self._send(pb.DraftRequest(advance=advance_to_pb(advance)))

    def _judged(self, judgement: Judgement | None) -> None:
        if judgement is None:
            return
        self.pair.judged(judgement.num_draft_tokens, judgement.num_accepted, judgement.num_rejected)

    def _send(self, message: pb.DraftRequest) -> None:
        if self._outbox:
            self._outbox.put(message)

    def _new_pace(self) -> Pace:
        return Pace(opened_at=time.monotonic(), always=self.request.always_draft)


def _heartbeat(sequence: int) -> pb.DraftRequest:
    return pb.DraftRequest(heartbeat=decoding_pb2.Heartbeat(sequence=sequence))
