"""Processes of these benchmarks: a Valkey, services of Tiercel over it, on free ports."""

import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import redis.asyncio as redis

from services.feedback import embedded
from tiercel.cli.supervisor import ChildSpec, Supervisor
from tiercel.cli.supervisor.ports import free_ports
from tiercel.cli.supervisor.readiness import takes_calls

NAMESPACE = "tiercel"
_READY_S = 120.0


def spec(service: str, name: str = "", **settings: object) -> ChildSpec:
    """Return a service on a free port with these settings."""
    [port] = free_ports(1)
    given = {"address": f"localhost:{port}", "log_level": "warning", **settings}
    environment = {f"TIERCEL_{key.upper()}": str(value) for key, value in given.items()}
    command = (sys.executable, "-m", f"services.{service}")
    return ChildSpec(name or service, command, f"localhost:{port}", environment)


@asynccontextmanager
async def running(specs: Sequence[ChildSpec]) -> AsyncIterator[dict[str, int]]:
    """Run services until the block ends; yield their process ids by name once they are ready."""
    supervisor = Supervisor(list(specs), is_ready=takes_calls, on_line=lambda name, line: None)
    async with supervisor:
        await supervisor.wait_ready(_READY_S)
        yield {name: child.pid or 0 for name, child in supervisor.children.items()}


@asynccontextmanager
async def valkey() -> AsyncIterator[tuple[str, Any]]:
    """Run an empty Valkey until the block ends; yield its URL and a client of it."""
    with tempfile.TemporaryDirectory(prefix="tb-") as folder:
        async with embedded.running(Path(folder)) as url:
            client = redis.Redis.from_url(url, decode_responses=True)
            yield url, client
            await client.aclose()
