"""The two ends of a long stream: what comes in may be awaited, what goes out never falls silent."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from google.protobuf.message import DecodeError

from tiercel.errors import InvalidRequest, Unavailable

T = TypeVar("T")

# Heartbeats missed before a silent peer counts as gone.
MISSED_BEATS = 3


class PeerSilent(Unavailable):
    """Nothing, not even a heartbeat, came from the peer for too long."""


class Inbox(Generic[T]):
    """Messages of a stream, pumped into a queue: a wait may then time out and the call lives on.

    (A timeout around a read of gRPC's own would cancel the call.)
    """

    def __init__(self, messages: AsyncIterator[T], *, interval_s: float) -> None:
        self._silence_s = MISSED_BEATS * interval_s
        self._queue: asyncio.Queue[T | Exception | None] = asyncio.Queue(maxsize=64)
        self._pump = asyncio.create_task(self._fill(messages))

    async def get(self) -> T | None:
        """Return the next message, or None when the peer half-closed or went away.

        Raises what the stream raised, and PeerSilent when heartbeats stay out.
        """
        try:
            async with asyncio.timeout(self._silence_s):
                message = await self._queue.get()
        except TimeoutError:
            raise PeerSilent(f"no heartbeat for {self._silence_s:g} s") from None
        if isinstance(message, Exception):
            raise message
        return message

    def __enter__(self) -> "Inbox[T]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop pumping."""
        self._pump.cancel()

    async def _fill(self, messages: AsyncIterator[T]) -> None:
        end: Exception | None = None
        try:
            async for message in messages:
                await self._queue.put(message)
        except DecodeError:
            end = InvalidRequest("message", "bytes", "is no message of this stream")
        except Exception as error:  # handed to the reader, who knows what it means
            end = error
        await self._queue.put(end)


class Outbox(Generic[T]):
    """Messages to send, as an async iterator for gRPC; a heartbeat goes out when it is idle."""

    def __init__(self, heartbeat: Callable[[int], T], *, interval_s: float) -> None:
        self._heartbeat = heartbeat
        self._interval_s = interval_s
        self._queue: asyncio.Queue[T | None] = asyncio.Queue()
        self.closed = False

    def put(self, message: T) -> None:
        """Send a message after those already put."""
        self._queue.put_nowait(message)

    def close(self) -> None:
        """End the stream after the messages already put."""
        self.closed = True
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yield the messages, and heartbeats between them, until closed."""
        beats = 0
        while True:
            try:
                async with asyncio.timeout(self._interval_s):
                    message = await self._queue.get()
            except TimeoutError:
                beats += 1
                yield self._heartbeat(beats)
                continue
            if message is None:
                return
            yield message


async def exchange(outbox: Outbox[T], *work: Coroutine[Any, Any, None]) -> AsyncGenerator[T, None]:
    """Yield what the outbox sends while the coroutines run side by side.

    The first of them to end, in whatever way, ends the others and the stream; what it raised is
    raised after the messages that were put before.
    """
    running = asyncio.create_task(_first_of(outbox, work))
    try:
        async for message in outbox:
            yield message
        await running
    finally:
        running.cancel()
        await asyncio.wait({running})


async def _first_of(outbox: Outbox[T], work: Sequence[Coroutine[Any, Any, None]]) -> None:
    tasks = [asyncio.create_task(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        outbox.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
