"""Answers waves with Tiercel through its router and tiers, real processes on free ports."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.concurrency.wave import Arrivals, Clock, Wave, answer_waves, write
from bench.peers.workers.pipe import Question, protocol_output
from tiercel.cli.output import Output
from tiercel.cli.private_fleet import private_deployment, running
from tiercel.clients.router import Request, RouterClient
from tiercel.plan_text import parse_plan
from tiercel.replies import Committed
from tiercel.types import Message, StopConditions

_CONFIGURATION = """
default_plan = "target"
[tiers.target]
service = "verifier"
engine = "{engine}"
model = "smollm2-135m"
dtype = "{dtype}"
addresses = ["localhost:50051"]
settings = {{max_sessions = {sessions}}}
[tiers.suffix]
service = "drafter"
engine = "suffix"
addresses = ["local"]
[plans]
target = "target"
[router]
address = "localhost:50050"
[feedback]
address = ""
"""


def configuration(*, engine: str, dtype: str, sessions: int) -> str:
    """Return a target of so many sessions, and the suffix index."""
    return _CONFIGURATION.format(engine=engine, dtype=dtype, sessions=sessions)


async def answer(client: RouterClient, wave: Wave, plan: str) -> list[Arrivals]:
    """Ask all questions at once under the plan."""
    clock = Clock(len(wave.questions))
    async with asyncio.TaskGroup() as clients:
        for place, question in enumerate(wave.questions):
            clients.create_task(_one(client, question, plan, clock, place))
    return clock.arrivals


async def _one(
    client: RouterClient, question: Question, plan: str, clock: Clock, place: int
) -> None:
    num_tokens = 0
    request = Request(
        (Message("user", question.text),),
        stop=StopConditions(max_new_tokens=question.max_new_tokens),
        ignore_eos=True,
        plan=parse_plan(plan),
    )
    async for event in client.generate(request):
        if isinstance(event, Committed) and event.token_ids:
            num_tokens += len(event.token_ids)
            clock.arrived(place, num_tokens)


async def serve(path: Path, plan: str, lines: Any) -> None:
    """Run the services, and answer waves from standard input until its end."""
    output = Output()
    loop = asyncio.get_running_loop()
    with private_deployment(path, output) as deployment:
        async with running(deployment, output), RouterClient(deployment.router) as client:

            def ask(wave: Wave) -> list[Arrivals]:
                return asyncio.run_coroutine_threadsafe(answer(client, wave, plan), loop).result()

            write(lines, {"ready": {"plan": plan}})
            await asyncio.to_thread(answer_waves, ask, lines)


def main() -> None:
    """Serve; the command's last argument names engine, dtype, plan and the most sessions."""
    lines = protocol_output()
    options = json.loads(sys.argv[-1])
    plan = options.pop("plan")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "concurrency.toml"
        path.write_text(configuration(**options), encoding="utf-8")
        asyncio.run(serve(path, plan, lines))


if __name__ == "__main__":
    main()
