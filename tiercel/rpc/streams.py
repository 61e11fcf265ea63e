"""The two ends of a long stream: what comes in may be awaited, what goes out never falls silent."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from google.protobuf.message import DecodeError

from tiercel.errors import InvalidRequest, Unavailable
from tiercel.rpc.patience import Patience

T = TypeVar("T")
# Adds the second message to the first and returns True, if the two can be one.
Join = Callable[[T, T], bool]

# Heartbeats missed before a silent peer counts as gone.
MISSED_BEATS = 3
# Messages that wait for a slow reader; the stream's flow control holds back the others.
_MAX_UNREAD = 64


class PeerSilent(Unavailable):
    """Nothing, not even a heartbeat, came from the peer for too long."""


def _never(_: object) -> bool:
    return False


class _Mailbox(Generic[T]):
    """A queue with one reader."""

    def __init__(self, join: Join[T] | None = None) -> None:
        self._items: deque[T] = deque()
        self._join = join
        self._reader: asyncio.Future[None] | None = None
        self._followed: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        """Add an item, or join it to the last one that waits."""
        if self._join is not None and self._items and self._join(self._items[-1], item):
            return
        self._items.append(item)
        for waiting in (self._reader, self._followed):
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

    async def get(
        self, patience: Patience, hold_until: float = 0.0, grows: Callable[[T], bool] = _never
    ) -> T:
        """Return the first item; raises TimeoutError when it takes too long to come.

        One that `grows` is held up to a time, or until another has to follow it.
        """
        loop = asyncio.get_running_loop()
        while not self._items:
            self._reader = loop.create_future()
            with patience:
                await self._reader
        if len(self._items) == 1 and loop.time() < hold_until and grows(self._items[0]):
            self._followed = followed = loop.create_future()
            timer = loop.call_at(hold_until, _set, followed)
            try:
                await followed
            finally:
                timer.cancel()
        return self._items.popleft()


def _set(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class Inbox(Generic[T]):
    """Messages of a stream, pumped into a queue: a wait may then time out and the call lives on.

    (A timeout around a read of gRPC's own would cancel the call.)
    """

    def __init__(
        self, messages: AsyncIterator[T], *, interval_s: float, join: Join[T] | None = None
    ) -> None:
        """`join(first, second)` may add the second of two messages that wait to the first."""
        self._silence_s = MISSED_BEATS * interval_s
        self._patience = Patience(self._silence_s)
        self._mailbox: _Mailbox[T | Exception | None] = _Mailbox(_of_messages(join))
        self._taken = asyncio.Event()
        self._pump = asyncio.create_task(self._fill(messages))

    async def get(self) -> T | None:
        """Return the next message, or None when the peer half-closed or went away.

        Raises what the stream raised, and PeerSilent when heartbeats stay out.
        """
        try:
            message = await self._mailbox.get(self._patience)
        except TimeoutError:
            raise PeerSilent(f"no heartbeat for {self._silence_s:g} s") from None
        self._taken.set()
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
        self._patience.close()

    async def _fill(self, messages: AsyncIterator[T]) -> None:
        end: Exception | None = None
        try:
            async for message in messages:
                self._mailbox.put(message)
                while len(self._mailbox) >= _MAX_UNREAD:
                    self._taken.clear()
                    await self._taken.wait()
        except DecodeError:
            end = InvalidRequest("message", "bytes", "is no message of this stream")
        except Exception as error:  # handed to the reader, who knows what it means
            end = error
        self._mailbox.put(end)


class Outbox(Generic[T]):
    """Messages to send, as an async iterator for gRPC; a heartbeat goes out when it is idle."""

    def __init__(
        self,
        heartbeat: Callable[[int], T],
        *,
        interval_s: float,
        join: Join[T] | None = None,
        grows: Callable[[T], bool] = _never,
        gap_s: float = 0.0,
    ) -> None:
        """`join(first, second)` may add the second of two messages that wait to the first.

        One that `grows` by that is sent no sooner than `gap_s` after the one before, unless
        another has to follow it. So a lone message is never held, and many together cost less.
        """
        self._heartbeat = heartbeat
        self._interval_s = interval_s
        self._grows, self._gap_s = grows, gap_s
        self._mailbox: _Mailbox[T | None] = _Mailbox(_of_messages(join))
        self.closed = False

    def put(self, message: T) -> None:
        """Send a message after those already put."""
        self._mailbox.put(message)

    def close(self) -> None:
        """End the stream after the messages already put."""
        self.closed = True
        self._mailbox.put(None)

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yield the messages, and heartbeats between them, until closed."""
        beats, patience, hold_until = 0, Patience(self._interval_s), 0.0
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    message = await self._mailbox.get(patience, hold_until, self._may_grow)
                except TimeoutError:
                    beats += 1
                    yield self._heartbeat(beats)
                    continue
                if message is None:
                    return
                hold_until = loop.time() + self._gap_s
                yield message
        finally:
            patience.close()

    def _may_grow(self, message: T | None) -> bool:
        return message is not None and self._grows(message)


def _of_messages(join: Join[T] | None) -> Join[Any] | None:
    """Return a `join` for queues that hold the end of a stream as well."""
    if join is None:
        return None

    def joined(first: T | Exception | None, second: T | Exception | None) -> bool:
        if first is None or second is None:
            return False
        if isinstance(first, Exception) or isinstance(second, Exception):
            return False
        return join(first, second)

    return joined


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
