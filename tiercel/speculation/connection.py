"""Keeps the stream to one drafter open: opens it, hands messages over, opens it again when lost."""

import asyncio
from typing import Protocol

import grpc
import structlog

from tiercel import errors, rpc
from tiercel.v1 import decoding_pb2, drafter_pb2_grpc
from tiercel.v1 import drafter_pb2 as pb
from tiercel.wire.draft import DraftOpening, opening_to_pb

log = structlog.get_logger(__name__)

# Trying again cannot mend these.
_FINAL = (
    errors.InvalidRequest,
    errors.PlanRefused,
    errors.Unsupported,
    errors.ModelUnavailable,
)
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.2, 5.0
# How long a clean end may take before the call is cut off.
_FINISH_S = 0.5


class Listener(Protocol):
    """Whom a connection serves."""

    def opening(self) -> DraftOpening:
        """Return what a stream that opens now begins with."""
        ...

    def take(self, message: pb.DraftResponse) -> None:
        """Take a message; a TiercelError ends the stream."""
        ...

    def ended(self) -> None:
        """Note that the stream is no more; it may be opened again."""
        ...

    def lost(self, reason: str, *, unreachable: bool) -> None:
        """Note why, if that was no clean end."""
        ...

    def mismatched(self, reason: str) -> None:
        """Note that the drafter has another vocabulary; this connection is over."""
        ...


class DrafterConnection:
    """One drafter's stream, over and over until it is closed or there is no point."""

    def __init__(
        self, channel: grpc.aio.Channel, listener: Listener, *, deadline: float, heartbeat_s: float
    ) -> None:
        """Start connecting; `deadline` is on the event loop's clock."""
        self._stub = drafter_pb2_grpc.DrafterStub(channel)
        self._listener, self._deadline, self._heartbeat_s = listener, deadline, heartbeat_s
        self._outbox: rpc.Outbox[pb.DraftRequest] | None = None
        self._was_useful = False
        self._task = asyncio.create_task(self._keep())
        self._task.add_done_callback(self._failed)

    @property
    def is_over(self) -> bool:
        """Whether it has given up: the drafter refused what trying again cannot mend."""
        return self._task.done()

    def send(self, message: pb.DraftRequest) -> None:
        """Send a message if a stream is open."""
        if self._outbox:
            self._outbox.put(message)

    def useful(self) -> None:
        """Note that the stream brought something: losing it says nothing of the next."""
        self._was_useful = True

    async def close(self) -> None:
        """End the stream cleanly if the drafter plays along, and in any case."""
        if self._outbox:
            self.send(pb.DraftRequest(finish=pb.DraftFinish()))
            self._outbox.close()
            await asyncio.wait({self._task}, timeout=_FINISH_S)
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _keep(self) -> None:
        backoff = _FIRST_BACKOFF_S
        while True:
            self._was_useful = False
            try:
                with rpc.translated():
                    await self._stream()
                return
            except errors.DeadlineExceeded:
                return  # the request is over too
            except errors.TokenizerMismatch as error:
                self._listener.mismatched(str(error))
                return
            except errors.TiercelError as error:
                unreachable = isinstance(error, errors.Unavailable)
                self._listener.lost(str(error), unreachable=unreachable)
                if isinstance(error, _FINAL):
                    return
            if self._was_useful:
                backoff = _FIRST_BACKOFF_S
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _LONGEST_BACKOFF_S)

    async def _stream(self) -> None:
        """Run one stream to its end; returns only after a clean `finish`."""
        outbox = rpc.Outbox(_heartbeat, interval_s=self._heartbeat_s)
        outbox.put(pb.DraftRequest(open=opening_to_pb(self._listener.opening())))
        remaining_s = self._deadline - asyncio.get_running_loop().time()
        call = self._stub.Draft(aiter(outbox), timeout=max(0.0, remaining_s))
        inbox = rpc.Inbox(rpc.replies(call), interval_s=self._heartbeat_s)
        self._outbox = outbox
        try:
            while (message := await inbox.get()) is not None:
                self._listener.take(message)
            if not outbox.closed:
                raise errors.Unavailable("the drafter ended the stream")
        finally:
            self._outbox = None
            inbox.close()
            outbox.close()
            call.cancel()
            self._listener.ended()

    def _failed(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a connection to a drafter failed", exc_info=error)
            self._listener.lost("internal error", unreachable=False)


def _heartbeat(sequence: int) -> pb.DraftRequest:
    return pb.DraftRequest(heartbeat=decoding_pb2.Heartbeat(sequence=sequence))
