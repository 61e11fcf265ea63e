"""A session at a verifier, seen from the router: one bidirectional stream."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc

from tiercel.errors import Unavailable
from tiercel.rpc import Inbox, Outbox, error_from_rpc, replies
from tiercel.sessions import Ask, SessionEnd, SessionEvent
from tiercel.types import Plan
from tiercel.v1 import decoding_pb2
from tiercel.v1 import verifier_pb2 as pb
from tiercel.v1.verifier_pb2_grpc import VerifierStub
from tiercel.wire.plans import plan_to_pb
from tiercel.wire.sessions import event_from_pb, join_committed, open_to_pb

# How long a tier gets to take the end of a session before the call is cut off.
_PARTING_S = 1.0
_partings: set[asyncio.Task[None]] = set()


class GenerateSession:
    """One open session. Made by `open_session`."""

    def __init__(
        self,
        inbox: Inbox[pb.VerifierGenerateResponse],
        outbox: Outbox[pb.VerifierGenerateRequest],
    ) -> None:
        self.end: SessionEnd | None = None  # once it came, also of a session that was left early
        self._inbox = inbox
        self._outbox = outbox

    async def events(self) -> AsyncGenerator[SessionEvent, None]:
        """Yield what the tier sends, `Finished` last.

        Raises the domain error of a failed call; Unavailable for a stream that fell silent or
        ended without `Finished`.
        """
        while self.end is None:
            try:
                message = await self._inbox.get()
            except grpc.aio.AioRpcError as failure:
                raise error_from_rpc(failure) from failure
            if message is None:
                raise Unavailable("the tier ended the stream without finishing")
            event = self._read(message)
            if event is not None:
                yield event

    async def left(self) -> None:
        """Read what is still to come, for its end."""
        while (message := await self._inbox.get()) is not None:
            self._read(message)

    def _read(self, message: pb.VerifierGenerateResponse) -> SessionEvent | None:
        event = event_from_pb(message)
        if isinstance(event, SessionEnd):
            self.end = event
        return event

    def replan(self, plan: Plan) -> None:
        """Have the tier follow `plan`, of the same root, from its next block on."""
        self._outbox.put(pb.VerifierGenerateRequest(replan=plan_to_pb(plan)))

    def finish(self) -> None:
        """Ask for an end now; the tier still sends `Finished`."""
        self._outbox.put(pb.VerifierGenerateRequest(finish=pb.GenerateFinish()))


@asynccontextmanager
async def open_session(
    channel: grpc.aio.Channel,
    ask: Ask,
    plan: Plan,
    *,
    committed: Sequence[int] = (),
    timeout_s: float,
    heartbeat_s: float,
) -> AsyncIterator[GenerateSession]:
    """Open a session after `committed` tokens; on exit the tier is told, and the stream ended."""
    outbox: Outbox[pb.VerifierGenerateRequest] = Outbox(_heartbeat, interval_s=heartbeat_s)
    outbox.put(pb.VerifierGenerateRequest(open=open_to_pb(ask, plan, committed)))
    call = VerifierStub(channel).Generate(outbox.__aiter__(), timeout=timeout_s)
    inbox: Inbox[pb.VerifierGenerateResponse] = Inbox(
        replies(call), interval_s=heartbeat_s, join=join_committed
    )
    session = GenerateSession(inbox, outbox)
    try:
        yield session
    finally:
        session.finish()
        outbox.close()
        parting = asyncio.create_task(_part(call, session, inbox))
        _partings.add(parting)
        parting.add_done_callback(_partings.discard)


async def _part(
    call: "grpc.aio.StreamStreamCall[pb.VerifierGenerateRequest, pb.VerifierGenerateResponse]",
    session: GenerateSession,
    inbox: Inbox[pb.VerifierGenerateResponse],
) -> None:
    # In a task of its own, for a cancelled caller cannot wait.
    try:
        async with asyncio.timeout(_PARTING_S):
            await session.left()
    except (TimeoutError, grpc.aio.AioRpcError, Unavailable):
        pass
    finally:
        inbox.close()
        call.cancel()


def _heartbeat(sequence: int) -> pb.VerifierGenerateRequest:
    return pb.VerifierGenerateRequest(heartbeat=decoding_pb2.Heartbeat(sequence=sequence))
