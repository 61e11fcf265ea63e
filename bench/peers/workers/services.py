"""Answers with Tiercel through its router and tiers, real processes on free ports.

One deployment serves all plans; a question names its plan.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.peers.workers import pipe
from bench.peers.workers.pipe import Answer, Question, Stopwatch
from tiercel.cli.output import Output
from tiercel.cli.private_fleet import private_deployment, running
from tiercel.clients.router import Request, RouterClient
from tiercel.plan_text import parse_plan
from tiercel.replies import Committed, Finished
from tiercel.types import Message, StopConditions

# The fastest engine for each.
ENGINES = {"fp32": "onnx", "int4": "native"}
_TIER = """
[tiers.{dtype}]
service = "verifier"
engine = "{engine}"
model = "smollm2-135m"
dtype = "{dtype}"
addresses = ["localhost:{port}"]
"""
_REST = """
[tiers.suffix]
service = "drafter"
engine = "suffix"
addresses = ["local"]
[plans]
int4 = "int4"
[router]
address = "localhost:50050"
[feedback]
address = ""
"""


def configuration() -> str:
    """Return one tier for each dtype, and the suffix index."""
    tiers = [
        _TIER.format(dtype=dtype, engine=engine, port=50051 + index)
        for index, (dtype, engine) in enumerate(ENGINES.items())
    ]
    return "\n".join(['default_plan = "int4"', *tiers, _REST])


async def answer(client: RouterClient, question: Question) -> Answer:
    """Answer under the plan of the question's options."""
    watch = Stopwatch()
    request = Request(
        (Message("user", question.text),),
        stop=StopConditions(max_new_tokens=question.max_new_tokens),
        plan=parse_plan(question.options["plan"]),
    )
    async for event in client.generate(request):
        if isinstance(event, Committed) and event.token_ids:
            watch.answer.token_ids += event.token_ids
            watch.arrived(len(watch.answer.token_ids))
        elif isinstance(event, Finished):
            return watch.answer
    raise RuntimeError("the answer has no end")


async def serve(path: Path, lines: Any) -> None:
    """Run the services, and answer questions from standard input until its end."""
    output = Output()
    loop = asyncio.get_running_loop()
    with private_deployment(path, output) as deployment:
        async with running(deployment, output), RouterClient(deployment.router) as client:

            def ask(question: Question) -> Answer:
                return asyncio.run_coroutine_threadsafe(answer(client, question), loop).result()

            lines.write(json.dumps({"ready": {}}) + "\n")
            await asyncio.to_thread(pipe.answer_lines, ask, sys.stdin, lines)


def main() -> None:
    """Serve; the configuration is written to a file of its own."""
    lines = pipe.protocol_output()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.toml"
        path.write_text(configuration(), encoding="utf-8")
        asyncio.run(serve(path, lines))


if __name__ == "__main__":
    main()
