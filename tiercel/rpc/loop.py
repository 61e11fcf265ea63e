"""The event loop of a process that speaks gRPC: uvloop, which costs less than asyncio's own."""

from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on a new event loop and return its result, as asyncio.run does."""
    return uvloop.run(main)
