"""TCP ports of this machine: which are taken, and which are free."""

import errno
import socket
from contextlib import ExitStack

from tiercel.cli.supervisor.child import ChildSpec, SupervisorError
from tiercel.errors import InvalidRequest


def check_free(specs: list[ChildSpec]) -> None:
    """Raise SupervisorError, with a line for people, if any address cannot be listened on."""
    busy = [spec for spec in specs if spec.address and _is_taken(spec.address)]
    if busy:
        shown = ", ".join(f"{spec.address} ({spec.name})" for spec in busy)
        raise SupervisorError(f"already in use: {shown}; is another `tiercel up` running?")


def free_ports(number: int) -> list[int]:
    """Return so many different ports that nobody listens on now."""
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
