"""All services of a configuration for one command alone: on free ports, and gone with it."""

import asyncio
import os
import signal
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tiercel.cli.deployment import Deployment, on_free_ports
from tiercel.cli.models_on_disk import prepare
from tiercel.cli.output import Output
from tiercel.cli.supervisor import Supervisor, SupervisorError
from tiercel.cli.supervisor.readiness import takes_calls
from tiercel.tiers import Setting

OwnOption = Annotated[
    bool,
    typer.Option(
        "--own",
        help="Start services for this alone, on free ports; none drafts from earlier answers.",
    ),
]

_FORGETFUL: dict[str, Setting] = {
    "log_level": "warning",
    "pool_tokens": 0,
    "prefix_cache_tokens": 0,
}
_READY_S = 600.0
_LOG_LINES = 20


@contextmanager
def private_deployment(
    config: Path | None, output: Output, settings: Mapping[str, Setting] | None = None
) -> Iterator[Deployment]:
    """Return a deployment on free ports, its models on disk; its files go with the context.

    Nothing is kept of earlier answers: one plan's would be the next one's draft, or its prefill.
    `settings` of all processes can say otherwise.
    """
    with tempfile.TemporaryDirectory(prefix="tiercel-") as folder:
        deployment = Deployment(
            on_free_ports(config, Path(folder)),
            common=_FORGETFUL | dict(settings or {}),
            feedback={"data_dir": str(Path(folder) / "feedback")},
        )
        prepare(deployment.configuration, output)
        yield deployment


@asynccontextmanager
async def running(deployment: Deployment, output: Output) -> AsyncIterator[Supervisor]:
    """Run all services until the context ends, SIGTERM included; check that nothing is left.

    When one does not stay up, its last log lines go to standard error. Raises SupervisorError.
    """
    _end_at_sigterm()
    logs: deque[str] = deque(maxlen=_LOG_LINES)
    supervisor = Supervisor(
        deployment.specs(),
        is_ready=takes_calls,
        on_line=lambda name, line: logs.append(f"{name}: {line}"),
    )
    groups: set[int] = set()
    try:
        async with supervisor:
            with output.working(f"starting {', '.join(supervisor.children)}"):
                await supervisor.wait_ready(_READY_S)
            groups = {child.pid for child in supervisor.children.values() if child.pid}
            yield supervisor
    except SupervisorError:
        for line in logs:
            output.note(line)
        raise
    if left := [group for group in groups if _exists(group)]:
        raise SupervisorError(f"process groups that did not end: {left}")


def _end_at_sigterm() -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
