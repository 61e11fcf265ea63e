"""A drafter that runs outside: it calls `Verify`, and proposes what a function tells it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.speculation.answers import Answer
from tests.speculation.fleet import HEARTBEAT_S, Fleet, Replica
from tiercel.decoding import prefix_hash
from tiercel.rpc import Inbox, Outbox, replies, translated
from tiercel.sessions import Ask, SessionEnd
from tiercel.types import Plan
from tiercel.v1 import decoding_pb2, drafter_pb2
from tiercel.v1 import verifier_pb2 as pb
from tiercel.v1.verifier_pb2_grpc import VerifierStub
from tiercel.wire.replies import committed_from_pb
from tiercel.wire.results import reason_from_pb, usage_from_pb
from tiercel.wire.sessions import open_to_pb

Propose = Callable[[list[int]], Sequence[int]]


def block(sequence: Sequence[int], draft: Sequence[int], **wrong) -> drafter_pb2.DraftBlock:
    fields = {
        "start_position": len(sequence),
        "token_ids": draft,
        "prefix_hash": hash_of(sequence),
        "spans": [decoding_pb2.Span(tier="outside", num_tokens=len(draft))] if draft else [],
    }
    return drafter_pb2.DraftBlock(**fields | wrong)


def hash_of(sequence: Sequence[int]) -> int:
    value = prefix_hash.EMPTY
    for token_id in sequence:
        value = prefix_hash.extend(value, token_id)
    return value


@asynccontextmanager
async def stream(fleet: Fleet, root: Replica) -> AsyncIterator[tuple[Inbox, Outbox]]:
    """Open a Verify stream; a block may be under way when the end comes."""
    outbox = Outbox(
        lambda sequence: pb.VerifyRequest(heartbeat=decoding_pb2.Heartbeat(sequence=sequence)),
        interval_s=HEARTBEAT_S,
    )
    call = VerifierStub(fleet.channel(root)).Verify(aiter(outbox), timeout=150.0)
    with Inbox(replies(call), interval_s=HEARTBEAT_S) as inbox:
        yield inbox, outbox
    outbox.close()
    call.cancel()


@dataclass
class Outside:
    """A drafter that calls a verifier: proposes after every verdict, until the end."""

    fleet: Fleet
    root: Replica
    propose: Propose
    sequence: list[int] = field(default_factory=list)
    got: Answer = field(default_factory=Answer)
    accepted: list[int] = field(default_factory=list)  # by block; the first verdict has none
    ended: bool = False

    async def answer(self, asked: Ask, plan: Plan | None = None, **options) -> Answer:
        committed = options.get("committed", ())
        async with stream(self.fleet, self.root) as (inbox, outbox):
            opening = open_to_pb(asked, plan or self.root.plan(), committed)
            outbox.put(pb.VerifyRequest(open=opening))
            await self.follow(inbox, outbox, committed)
        return self.got

    async def follow(self, inbox, outbox, committed: Sequence[int] = ()) -> None:
        with translated():
            while not self.ended and (message := await inbox.get()) is not None:
                if (reply := self._take(message, committed)) is not None:
                    outbox.put(pb.VerifyRequest(block=reply))

    def _take(self, message: pb.VerifyResponse, committed: Sequence[int]):
        kind = message.WhichOneof("message")
        if kind == "opened":
            self.sequence = [*message.opened.prompt.token_ids, *committed]
            return None
        if kind == "finished":
            end = message.finished
            usage = usage_from_pb(end.usage)
            self.got.take(SessionEnd(reason_from_pb(end.reason), usage, end.stop_string), 0)
            self.ended = True
        if self.ended or kind == "heartbeat":
            return None
        if kind == "verdict":
            self._take_verdict(message.verdict, len(committed))
        return block(self.sequence, self.propose(self.sequence))

    def _take_verdict(self, verdict: pb.Verdict, first: int) -> None:
        commit = committed_from_pb(verdict.committed)
        assert verdict.num_accepted <= len(commit.token_ids)
        if commit.token_ids:
            self.accepted.append(verdict.num_accepted)
        self.got.take(commit, first)
        self.sequence += commit.token_ids
