"""Deadlines of calls: gRPC's Python servers pass none on by themselves."""

import asyncio
from typing import Protocol

# What a server keeps of the caller's time, so that its own end arrives before gRPC cuts the call.
_MARGIN_S = 0.05


class Context(Protocol):
    """The part of a gRPC context that knows the time."""

    def time_remaining(self) -> float | None:
        """Return the seconds left of the call, or None if it has no deadline."""
        ...


def deadline_of(context: Context, most_s: float) -> float:
    """Return when work for the call must be over, on the event loop's clock.

    A call without a deadline, or with a longer one, gets `most_s` seconds.
    """
    remaining = context.time_remaining()
    granted = most_s if remaining is None else min(most_s, remaining)
    return asyncio.get_running_loop().time() + max(0.0, granted - _MARGIN_S)
