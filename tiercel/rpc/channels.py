"""Client channels: one set of options for every connection between Tiercel's processes."""

import grpc

from tiercel.rpc.limits import MAX_MESSAGE_BYTES

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A replica that restarts must be found again within its drafter's backoff, not minutes later.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Two channels to one address must not share one connection: each stream has its own fate.
    ("grpc.use_local_subchannel_pool", 1),
)


def channel(address: str) -> grpc.aio.Channel:
    """Return a channel to `address`; connects on first use. Plaintext: encrypt with a mesh."""
    return grpc.aio.insecure_channel(address, options=_OPTIONS)


class Channels:
    """One channel for each address that a process calls; opened on first use, closed together."""

    def __init__(self) -> None:
        self._channels: dict[str, grpc.aio.Channel] = {}

    def to(self, address: str) -> grpc.aio.Channel:
        """Return the channel to `address`."""
        if address not in self._channels:
            self._channels[address] = channel(address)
        return self._channels[address]

    async def close(self) -> None:
        """Close every channel, and with it every call on it."""
        for opened in self._channels.values():
            await opened.close()
        self._channels.clear()
