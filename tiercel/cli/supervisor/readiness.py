"""Asks a service on this machine whether it takes calls."""

from tiercel import rpc
from tiercel.clients import tier
from tiercel.errors import TiercelError

_TIMEOUT_S = 1.0


async def takes_calls(address: str) -> bool:
    """Return whether the service says that it is ready; False if it does not answer."""
    async with rpc.channel(address) as channel:
        try:
            return await tier.is_ready(channel, timeout_s=_TIMEOUT_S)
        except TiercelError:
            return False
