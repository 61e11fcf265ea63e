"""TCP ports of this machine: which are taken, and which are free."""

import errno
import random
import socket
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from tiercel.cli.supervisor.child import ChildSpec, SupervisorError
from tiercel.errors import InvalidRequest

_LOWEST = 20_000  # below are those of well-known services
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def check_free(specs: list[ChildSpec]) -> None:
    """Raise SupervisorError, with a line for people, if any address cannot be listened on."""
    busy = [spec for spec in specs if spec.address and _is_taken(spec.address)]
    if busy:
        shown = ", ".join(f"{spec.address} ({spec.name})" for spec in busy)
        raise SupervisorError(f"already in use: {shown}; is another `tiercel up` running?")


def free_ports(number: int) -> list[int]:
    """Return so many different ports that nobody listens on now.

    Where there are enough they are none of those that the system hands out: of these, one may be
    gone before a service listens on it, even to a client that is trying to connect to the service.
    """
    candidates = list(range(_LOWEST, _first_handed_out()))
    random.SystemRandom().shuffle(candidates)
    free = islice((port for port in candidates if not _is_taken(f"localhost:{port}")), number)
    ports = list(free)
    return ports if len(ports) == number else _handed_out(number)


def _first_handed_out() -> int:
    """Return the first port that the system may give to one who names none."""
    try:
        return int(_RANGE.read_text().split()[0])
    except OSError:
        return 0


def _handed_out(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def split(address: str) -> tuple[str, int]:
    """Return host and port; raises InvalidRequest for anything else than host:port."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise InvalidRequest("address", address, "must be host:port")
    return host.strip("[]"), int(port)


def _is_taken(address: str) -> bool:
    host, port = split(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise SupervisorError(f"cannot listen on {address}: no such host") from None
    return any(_is_bound(family, where) for family, _, _, _, where in found)


def _is_bound(family: socket.AddressFamily, where: tuple[object, ...]) -> bool:
    try:
        with socket.socket(family) as one:
            # As gRPC does: a port that only lingers from a closed connection is free.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(where)
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False
