"""Services as processes of their own, that tests may kill, stop and start again."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.addresses import free_address
from tiercel import rpc
from tiercel.clients.tier import describe, is_ready
from tiercel.errors import TiercelError

PATIENCE_S = 120.0
# A look counts for no more: what a promised time is about is not how busy the machine is.
_LONGEST_LOOK_S = 0.5
HEARTBEAT_S = 0.5


class ServiceProcess:
    """One process of `python -m services.<service>`, and its settings."""

    def __init__(self, service: str, **settings: object) -> None:
        self.address = str(settings.setdefault("address", free_address("127.0.0.1")))
        settings.setdefault("log_level", "error")
        settings.setdefault("heartbeat_s", HEARTBEAT_S)
        given = {f"TIERCEL_{name.upper()}": str(value) for name, value in settings.items()}
        self._environment = os.environ | given
        self._command = [sys.executable, "-m", f"services.{service}"]
        self.start()

    def start(self) -> None:
        """Start it, for the first time or again."""
        self.process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it for sure, stopped or not."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate(timeout=PATIENCE_S)

    def ended(self) -> tuple[int, str]:
        """Wait until it ends by itself; return its status and what it wrote to stderr."""
        _, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, errors

    async def ready(self) -> None:
        """Wait until it takes work."""
        await until_ready(self.address, self._is_alive)

    def _is_alive(self) -> None:
        assert self.process.poll() is None, self.process.communicate()


async def until(condition, what: str, *, within_s: float = PATIENCE_S) -> None:
    """Wait until the coroutine of `condition` says yes; fail after so many seconds of looking."""
    waited_s, began = 0.0, time.monotonic()
    while not await condition():
        assert waited_s < within_s, what
        await asyncio.sleep(0.05)
        now = time.monotonic()
        waited_s, began = waited_s + min(now - began, _LONGEST_LOOK_S), now


async def until_ready(address: str, check: Callable[[], None] = lambda: None) -> None:
    """Wait until a service takes work; `check` may raise where waiting is in vain."""
    async with rpc.channel(address) as channel:

        async def takes_work() -> bool:
            check()
            try:
                return await is_ready(channel, timeout_s=5)
            except TiercelError:
                return False

        await until(takes_work, "the service is not ready")


async def idle(*services: ServiceProcess, within_s: float = 10.0) -> None:
    """Wait until no session is open at any of the services: the promise is 10 seconds."""
    await idle_at(*[service.address for service in services], within_s=within_s)


async def idle_at(*addresses: str, within_s: float = 10.0) -> None:
    """Wait until no session is open at any of the addresses."""

    async def is_idle() -> bool:
        return not any([await num_sessions(address) for address in addresses])

    await until(is_idle, "a session outlived its stream", within_s=within_s)


async def num_sessions(address: str) -> int:
    """Return how many sessions a tier says are open."""
    async with rpc.channel(address) as channel:
        return (await describe(channel, timeout_s=30)).num_sessions


def start(stack: ExitStack, service: str, **settings: object) -> ServiceProcess:
    """Start a service that is dead for sure when the stack unwinds."""
    process = ServiceProcess(service, **settings)
    stack.callback(process.kill)
    return process


def start_simulated(stack: ExitStack, tier: str, model: str, **settings: object) -> ServiceProcess:
    """Start a verifier whose model only takes time."""
    own = {"tier": tier, "engine": "simulated", "model": model, "max_sessions": 64}
    return start(stack, "verifier", **(own | settings))
