"""A TCP proxy inside the test: a link that can be delayed, stalled, cut, half closed, garbled."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Proxy:
    """Forwards every connection to one target, as long as nothing is done to the link."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._flows, self._answers_flow = asyncio.Event(), asyncio.Event()
        self._flows.set()
        self._answers_flow.set()
        self._writers: list[asyncio.StreamWriter] = []
        self._upstream: list[asyncio.StreamWriter] = []
        self._serving: set[asyncio.Task[None] | None] = set()
        self.delay_s = 0.0
        self.garble: Callable[[bytes], bytes] | None = None  # of answers
        self._bytes_left: int | None = None  # on the way to the target; None: any number
        self.num_connections = 0

    def stall(self) -> None:
        """Let nothing through in either direction; connections stay open, new ones hang too."""
        self._flows.clear()

    def stall_answers(self) -> None:
        """Let nothing through that comes from the target; what goes there still does."""
        self._answers_flow.clear()

    def let_through(self, num_bytes: int) -> None:
        """Stall once so many bytes more have gone to the target."""
        self._bytes_left = num_bytes

    def flow(self) -> None:
        """Let everything through again, what was held back first."""
        self._bytes_left = None
        self._flows.set()
        self._answers_flow.set()

    def reset(self) -> None:
        """Cut every connection off with a RST."""
        for writer in self._writers:
            linger = struct.pack("ii", 1, 0)
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        self._writers.clear()

    def half_close(self) -> None:
        """Tell the target that the caller sends nothing more; its answers still flow."""
        for writer in self._upstream:
            writer.write_eof()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until it ends."""
        self.num_connections += 1
        self._serving.add(asyncio.current_task())
        try:
            await self._forward(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # nobody listens at the target, or the proxy is closed
        finally:
            writer.transport.abort()
            self._serving.discard(asyncio.current_task())

    async def close(self) -> None:
        """End every connection."""
        for task in self._serving:
            task.cancel()
        while self._serving:
            await asyncio.sleep(0.01)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._writers += [writer, back]
        self._upstream.append(back)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, back, is_answer=False))
                pumps.create_task(self._pump(there, writer, is_answer=True))
        finally:
            back.transport.abort()
            self._upstream.remove(back)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        try:
            while data := await source.read(4096):
                await asyncio.sleep(self.delay_s)
                await self._flows.wait()
                if is_answer:
                    await self._answers_flow.wait()
                elif self._bytes_left is not None:
                    data = await self._first_of(data, sink)
                sink.write(self.garble(data) if is_answer and self.garble else data)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()
        except OSError:
            sink.transport.abort()

    async def _first_of(self, data: bytes, sink: asyncio.StreamWriter) -> bytes:
        """Send what may go through; return the rest once all may."""
        assert self._bytes_left is not None
        first, rest = data[: self._bytes_left], data[self._bytes_left :]
        self._bytes_left -= len(first)
        sink.write(first)
        await sink.drain()
        if rest:
            self._flows.clear()
            await self._flows.wait()
        return rest


def one_bit_wrong(data: bytes) -> bytes:
    """Flip a bit in the middle: it may be one of a message that is still a message."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]


def every_bit_wrong(data: bytes) -> bytes:
    """Flip every bit, also those that say how the bytes are to be read."""
    return bytes(byte ^ 0xFF for byte in data)


@asynccontextmanager
async def proxied(target: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Yield a proxy before `target` and the address at which it listens."""
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield proxy, f"{host}:{port}"
    finally:
        server.close()
        await proxy.close()
