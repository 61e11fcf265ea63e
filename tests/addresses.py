"""Addresses for what a test starts, stops and starts again."""

from tiercel.cli.supervisor.ports import free_ports


def free_address(host: str = "localhost") -> str:
    """Return an address that nobody listens at, nor comes to by chance."""
    [port] = free_ports(1)
    return f"{host}:{port}"
