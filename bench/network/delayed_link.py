"""A TCP link that takes its time: forwards connections, each direction by half a round trip.

Threads and not an event loop, whose timers are no finer than a millisecond.
"""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable

_BUFFER_BYTES = 1 << 16


class DelayedLink:
    """Stands before one address at `address`; `round_trip_s` may be changed at any time."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self.round_trip_s = 0.0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._sockets: list[socket.socket] = []
        _in_thread(self._accept)

    def __enter__(self) -> "DelayedLink":
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._server, *self._sockets):
            _end(one)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._target)
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    self._forward(source, sink)

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        _in_thread(lambda: self._take(source, under_way))
        _in_thread(lambda: self._give(sink, under_way))

    def _take(
        self, source: socket.socket, under_way: "queue.SimpleQueue[tuple[float, bytes]]"
    ) -> None:
        data = b"?"
        while data:
            try:
                data = source.recv(_BUFFER_BYTES)
            except OSError:
                data = b""
            under_way.put((time.monotonic() + self.round_trip_s / 2, data))

    def _give(
        self, sink: socket.socket, under_way: "queue.SimpleQueue[tuple[float, bytes]]"
    ) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = under_way.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    break
                sink.sendall(data)
        _end(sink)


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
