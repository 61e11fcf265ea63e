"""All processes of a configuration as one: up together, ready together, down in reverse order."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from tiercel.cli.supervisor import ports
from tiercel.cli.supervisor.child import Child, ChildSpec, SupervisorError
from tiercel.cli.supervisor.guard import Guard

T = TypeVar("T")

_POLL_S = 0.1


class Supervisor:
    """Runs processes for as long as the context lasts; those named last are stopped first.

    `is_ready(address)` says whether the service there takes calls. Entering raises SupervisorError
    if a port is taken. Nothing outlives the context, nor this process if it is killed.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        *,
        is_ready: Callable[[str], Awaitable[bool]],
        on_line: Callable[[str, str], None],
        grace_s: float = 10.0,
    ) -> None:
        self._specs = list(specs)
        self._is_ready = is_ready
        self._on_line = on_line
        self._grace_s = grace_s
        self._runs: list[asyncio.Task[None]] = []
        self.children: dict[str, Child] = {}

    async def __aenter__(self) -> Self:
        ports.check_free(self._specs)
        self._guard = Guard(grace_s=self._grace_s)
        self.children = {spec.name: Child(spec, self._guard, self._on_line) for spec in self._specs}
        self._runs = [asyncio.create_task(child.run()) for child in self.children.values()]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._stop()
        finally:
            self.kill()
            await asyncio.gather(*self._runs, return_exceptions=True)
            await asyncio.to_thread(self._guard.close)

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until every service takes calls.

        Raises SupervisorError when the time is over, or when a process does not stay up.
        """
        waiting = set(self.children)
        try:
            async with asyncio.timeout(timeout_s):
                await self.attend(self._all_ready(waiting))
        except TimeoutError:
            names = ", ".join(sorted(waiting))
            raise SupervisorError(f"not ready after {timeout_s:g} s: {names}") from None

    async def attend(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work`; raises SupervisorError as soon as a process does not stay up meanwhile."""
        task = asyncio.create_task(work)
        try:
            done, _ = await asyncio.wait({task, *self._runs}, return_when=asyncio.FIRST_COMPLETED)
            for run in done - {task}:
                run.result()
            return await task
        finally:
            task.cancel()
            await asyncio.wait([task])

    def kill(self) -> None:
        """End everything at once."""
        for child in self.children.values():
            child.kill()

    async def _all_ready(self, waiting: set[str]) -> None:
        while waiting:
            for name in sorted(waiting):
                if await self._is_up(self.children[name]):
                    waiting.discard(name)
                _heed_cancellation()
            await asyncio.sleep(_POLL_S)

    async def _is_up(self, child: Child) -> bool:
        return child.pid is not None and await self._is_ready(child.spec.address)

    async def _stop(self) -> None:
        for child in reversed(self.children.values()):
            await child.stop(self._grace_s)


def _heed_cancellation() -> None:
    """Raise CancelledError if this task was cancelled: gRPC may have made an error of that."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
