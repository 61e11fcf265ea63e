"""`tiercel up`: every service of a configuration on this machine, until Ctrl-C."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from tiercel.cli import options
from tiercel.cli.deployment import Deployment
from tiercel.cli.logs import LogView
from tiercel.cli.models_on_disk import prepare
from tiercel.cli.output import Output
from tiercel.cli.running import run, tell_failures
from tiercel.cli.supervisor import ChildSpec, Supervisor
from tiercel.cli.supervisor.readiness import takes_calls

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="A TOML file of tiers and plans; without it the built-in three-level chain runs.",
    ),
]
ReadyOption = Annotated[
    float, typer.Option(min=0.001, help="Seconds that the services get to become ready.")
]
LogLevelOption = Annotated[str, typer.Option(help="debug, info, warning or error.")]


def up(
    *,
    config: ConfigOption = None,
    ready_timeout: ReadyOption = 600.0,
    log_level: LogLevelOption = "info",
    json: options.JsonOption = False,
) -> None:
    """Run all services of a configuration on this machine."""
    output = Output()
    with tell_failures():
        deployment = Deployment(config, common={"log_level": log_level})
        for replica in deployment.elsewhere():
            output.note(f"{replica}: on another machine, not started here")
        prepare(deployment.configuration, output)
        run(_up(deployment, output, ready_timeout, as_json=json))


async def _up(
    deployment: Deployment, output: Output, ready_timeout_s: float, *, as_json: bool
) -> None:
    specs = deployment.specs()
    logs = LogView(output, [spec.name for spec in specs], as_json=as_json)
    stop = asyncio.Event()
    supervisor = Supervisor(specs, is_ready=takes_calls, on_line=logs.show)
    _on_signals(stop, supervisor)
    async with supervisor:
        if await _ready_before(stop, supervisor, ready_timeout_s):
            _say_ready(output, specs, as_json=as_json)
            await supervisor.attend(stop.wait())
        output.note("stopping; once more to kill")
    output.note("stopped, no process is left")


async def _ready_before(
    stop: asyncio.Event, supervisor: Supervisor, ready_timeout_s: float
) -> bool:
    """Wait until all services are ready, and return True, or until `stop`, and return False."""
    ready = asyncio.create_task(supervisor.wait_ready(ready_timeout_s))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({ready, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if ready.done():
        ready.result()
        return True
    ready.cancel()
    await asyncio.wait([ready])
    return False


def _on_signals(stop: asyncio.Event, supervisor: Supervisor) -> None:
    def heed() -> None:
        if stop.is_set():
            supervisor.kill()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, heed)


def _say_ready(output: Output, specs: list[ChildSpec], *, as_json: bool) -> None:
    places = {spec.name: spec.address for spec in specs}
    if as_json:
        output.json({"event": "ready", "services": places})
        return
    shown = ", ".join(f"{name} {address}" for name, address in places.items())
    output.line(f"ready: {shown}", "bold green")
    output.line("try: tiercel generate --provenance --stats 'Why is the sky blue?'")
