"""What services cost: plain decoding through router and verifier against the engine in a loop.

    python -m bench.overhead [--dtype fp32 | --pass-ms 3] [--rounds 5] [--tokens 64]

Both decode the same prompts greedily with the same graph. They take turns prompt by prompt; the
ratio is of the two times from the first to the last token, of each pair of runs. With passes that
only take time (`--pass-ms`) the processor time of client, router and verifier is what each of them
spends on a token beside the model.
"""

import asyncio
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tiercel import engines, rpc
from tiercel.cli.deployment import Deployment, on_free_ports
from tiercel.cli.supervisor import Supervisor
from tiercel.cli.supervisor.readiness import takes_calls
from tiercel.clients.router import Request, RouterClient
from tiercel.decoding import Vocabulary, choose
from tiercel.engines.language_model import LanguageModel, Step
from tiercel.replies import Committed, Finished
from tiercel.tokenizer import Tokenizer
from tiercel.types import Message, SamplingParams, StopConditions

PROMPTS = (
    "Why is the sky blue?",
    "Write a short story about a lighthouse keeper and her cat.",
    "List the planets of the solar system and one fact about each.",
    "Explain to a child how a bicycle stays upright.",
)
# The fastest engine for each.
ENGINES = {"fp32": "onnx", "int8": "native", "int4": "native"}
CONFIGURATION = """
default_plan = "target"
[tiers.target]
service = "verifier"
engine = "{engine}"
model = "{model}"
dtype = "{dtype}"
addresses = ["localhost:50051"]
[plans]
target = "target"
[router]
address = "localhost:50050"
[feedback]
address = ""
"""


class Loop:
    """The engine called directly, one token after the other."""

    def __init__(self, model: LanguageModel, tokenizer: Tokenizer) -> None:
        self._model, self._tokenizer = model, tokenizer
        size = model.description.vocab_size
        self._vocabulary = Vocabulary.of([tokenizer.token_bytes(id) for id in range(size)])

    def decode(self, prompt: str, num_tokens: int) -> tuple[list[int], float]:
        """Return the tokens, and the seconds from the first to the last of them."""
        cache, fed = self._model.open(), self._tokenizer.render([Message("user", prompt)])
        tokens: list[int] = []
        began = 0.0
        while len(tokens) < num_tokens:
            [logits] = self._model.extend([Step(cache, fed, 1)])
            fed = [choose(logits[0], SamplingParams(), self._vocabulary, 0)]
            tokens += fed
            began = began or time.perf_counter()
            if fed[0] in self._tokenizer.eos_ids:
                break
        cache.close()
        return tokens, time.perf_counter() - began


async def through_services(
    client: RouterClient, prompt: str, num_tokens: int
) -> tuple[list[int], float]:
    """Return the tokens, and the seconds from the first to the last of them."""
    words = (Message("user", prompt),)
    request = Request(words, stop=StopConditions(max_new_tokens=num_tokens), plan="target")
    tokens: list[int] = []
    began = last = 0.0
    async for event in client.generate(request):
        if isinstance(event, Committed) and event.token_ids:
            tokens += event.token_ids
            last = time.perf_counter()
            began = began or last
        elif isinstance(event, Finished):
            return tokens, last - began
    raise RuntimeError("the answer has no end")


@dataclass(frozen=True)
class Subject:
    """The engine, model and number format that both run."""

    engine: str
    model: str
    dtype: str


@dataclass(frozen=True)
class Pair:
    """One prompt decoded both ways: milliseconds, and processor microseconds by process."""

    loop_ms: float
    served_ms: float
    processor_us: dict[str, float]


def processor_ns(pid: int) -> int:
    """Return the processor time of all threads of a process so far, in nanoseconds (Linux)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


async def measure(subject: Subject, rounds: int, num_tokens: int) -> list[Pair]:
    """Return a pair for each round and prompt."""
    loop = Loop(*engines.load(subject.engine, subject.model, dtype=subject.dtype))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.toml"
        path.write_text(CONFIGURATION.format(**vars(subject)), encoding="utf-8")
        deployment = Deployment(on_free_ports(path, Path(folder)), common={"log_level": "warning"})
        supervisor = Supervisor(
            deployment.specs(), is_ready=takes_calls, on_line=lambda name, line: None
        )
        async with supervisor:
            await supervisor.wait_ready(300)
            pids = {name: child.pid or 0 for name, child in supervisor.children.items()}
            async with RouterClient(deployment.router) as client:
                await through_services(client, PROMPTS[0], 8)
                return [
                    await _pair(loop, client, prompt, num_tokens, {"client": os.getpid(), **pids})
                    for _ in range(rounds)
                    for prompt in PROMPTS
                ]


async def _pair(
    loop: Loop, client: RouterClient, prompt: str, num_tokens: int, pids: dict[str, int]
) -> Pair:
    direct, direct_s = await asyncio.to_thread(loop.decode, prompt, num_tokens)
    before = {name: processor_ns(pid) for name, pid in pids.items()}
    served, served_s = await through_services(client, prompt, num_tokens)
    spent = {name: processor_ns(pid) - before[name] for name, pid in pids.items()}
    if direct != served:
        raise RuntimeError(f"the loop and the services answer {prompt!r} differently")
    steps = len(direct) - 1
    processor_us = {name: ns / 1e3 / len(direct) for name, ns in spent.items()}
    return Pair(1e3 * direct_s / steps, 1e3 * served_s / steps, processor_us)


def main(
    dtype: Annotated[str, typer.Option(help="fp32, int8 or int4")] = "fp32",
    pass_ms: Annotated[float, typer.Option(help="passes that only take so long, no model")] = 0.0,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    tokens: Annotated[int, typer.Option(min=2)] = 64,
) -> None:
    """Print milliseconds a token of both, and the ratio with its spread."""
    subject = Subject(ENGINES[dtype], "smollm2-135m", dtype)
    if pass_ms:
        subject = Subject("simulated", f"any?base_s={pass_ms / 1e3}", "none")
    pairs = rpc.run(measure(subject, rounds, tokens))
    ratios = sorted(pair.served_ms / pair.loop_ms for pair in pairs)
    direct = statistics.median(pair.loop_ms for pair in pairs)
    served = statistics.median(pair.served_ms for pair in pairs)
    low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
    print(
        f"{subject.engine} {subject.dtype}: loop {direct:.2f} ms, services {served:.2f} ms a token"
    )
    print(
        f"ratio: median {statistics.median(ratios):.3f}, "
        f"80 % of {len(ratios)} pairs within {low:.3f} to {high:.3f}"
    )
    print("processor time a token, the verifier's with its passes:")
    for name in pairs[0].processor_us:
        spent = sorted(pair.processor_us[name] for pair in pairs)
        print(f"  {name:8s} median {statistics.median(spent):6.0f} us, least {spent[0]:6.0f} us")


if __name__ == "__main__":
    typer.run(main)
