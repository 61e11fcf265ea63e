"""gRPC as Tiercel uses it: one server shell, one error table, channels, streams with heartbeats."""

from tiercel.rpc.channels import Channels, channel
from tiercel.rpc.loop import run
from tiercel.rpc.replies import replies
from tiercel.rpc.server import Service, serve, server
from tiercel.rpc.status import error_from_rpc, translated
from tiercel.rpc.streams import Inbox, Outbox, PeerSilent, exchange

__all__ = [
    "Channels",
    "Inbox",
    "Outbox",
    "PeerSilent",
    "Service",
    "channel",
    "error_from_rpc",
    "exchange",
    "replies",
    "run",
    "serve",
    "server",
    "translated",
]
