"""What acceptance rules cost and bring: tokens accepted, tokens EXACT would have refused, speed.

    python -m bench.rules PROMPTS --out rules.json --figures docs/figures [--quick] [--config FILE]

Every rule at every strictness and every plan answers the same prompts through services of its own,
in turn with the plan's root alone, whose speed the ratio is over. The lossy rules are drawn as
divergence against acceptance, a curve for each, at temperature 0: above it another draw counts as
divergent too.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from bench.rule_cells import COLUMNS, Cell, draw
from tiercel.cli.bench.prompts import read_prompts
from tiercel.cli.options import conversation
from tiercel.cli.output import Output
from tiercel.cli.private_fleet import private_deployment, running
from tiercel.clients.router import Request, RouterClient
from tiercel.errors import TiercelError
from tiercel.plan_text import Outline, parse_plan
from tiercel.replies import Finished
from tiercel.rules import is_lossy
from tiercel.types import Acceptance, Rule, SamplingParams, StopConditions

# Drafters are asked whether they pay or not: what is measured is the rules.
BUILT_IN = """
default_plan = "alone"
[tiers.target]
service = "verifier"
engine = "native"
model = "smollm2-135m"
dtype = "int4"
addresses = ["localhost:50051"]
settings = { always_draft = true }
[tiers.distilled]
service = "drafter"
engine = "distilled"
model = "smollm2-135m"
addresses = ["localhost:50061"]
[tiers.suffix]
service = "drafter"
engine = "suffix"
addresses = ["localhost:50062"]
[plans]
alone = "target"
"""
PLANS = ("target <- distilled:4", "target <- suffix:4")
STRICTNESS = (0.9, 0.7, 0.5, 0.3, 0.1)
# Their decision tree, or several drafters at once, are not what this compares.
_LEFT_OUT = {Rule.COSD_TREE, Rule.AGREEMENT}


def acceptances(strictnesses: Sequence[float]) -> list[Acceptance]:
    """Return what is compared: the rules that promise something, then the lossy ones."""
    firm = [Acceptance(rule) for rule in Rule if not is_lossy(rule)]
    lossy = [rule for rule in Rule if is_lossy(rule) and rule not in _LEFT_OUT]
    return firm + [Acceptance(rule, one) for rule in lossy for one in strictnesses]


async def measure(
    client: RouterClient, prompts: Sequence[str], plan: Outline, asked: SamplingParams, most: int,
    rules: Sequence[Acceptance],
) -> AsyncIterator[Cell]:  # fmt: skip
    """Yield a cell for each rule; the root alone answers before every fourth."""
    stop, plain = StopConditions(max_new_tokens=most), list[Finished]()
    for number, acceptance in enumerate(rules):
        if number % 4 == 0:
            alone = Request("", asked, stop=stop, plan=Outline(plan.tier))
            plain = await _ends(client, prompts, alone)
        request = Request("", asked, stop=stop, plan=plan, acceptance=acceptance)
        ends = await _ends(client, prompts, request)
        yield _cell(plan, asked.temperature, acceptance, plain, ends)


async def _ends(client: RouterClient, prompts: Sequence[str], like: Request) -> list[Finished]:
    ends = []
    for prompt in prompts:
        request = Request(**vars(like) | {"prompt": conversation(prompt)})
        events = [event async for event in client.generate(request)]
        end = events[-1]
        assert isinstance(end, Finished)
        ends.append(end)
    return ends


def _cell(
    plan: Outline, temperature: float, acceptance: Acceptance, plain: Sequence[Finished],
    ends: Sequence[Finished],
) -> Cell:  # fmt: skip
    pairs = [p for end in ends for p in end.usage.pairs if p.verifier == plan.tier]
    uses = [end.rule_use for end in ends if end.rule_use is not None]
    num_compared = sum(pair.num_compared for pair in pairs)
    variation = sum(pair.total_variation for pair in pairs)
    tokens, seconds = _speed(ends)
    plain_tokens, plain_seconds = _speed(plain)
    return Cell(
        plan=str(plan),
        temperature=temperature,
        rule=acceptance.rule.value,
        strictness=acceptance.strictness,
        num_tokens=tokens,
        seconds=seconds,
        num_accepted=sum(pair.num_accepted_tokens for pair in pairs),
        num_judged=sum(pair.num_accepted_tokens + pair.num_rejected_tokens for pair in pairs),
        similarity=1 - variation / num_compared if num_compared else None,
        num_compared=sum(use.num_compared_tokens for use in uses),
        num_divergent=sum(use.num_divergent_tokens for use in uses),
        logprob_gap=sum(use.logprob_gap for use in uses),
        plain_tokens_per_s=plain_tokens / plain_seconds,
    )


def _speed(ends: Iterable[Finished]) -> tuple[int, float]:
    used = [end.usage for end in ends]
    return sum(u.num_completion_tokens for u in used), sum(u.total_s for u in used)


@asynccontextmanager
async def served(config: Path | None, output: Output) -> AsyncIterator[RouterClient]:
    """Run the services of a configuration, the built-in one without; they end with the context."""
    with TemporaryDirectory() as folder:
        file = config or Path(folder) / "tiers.toml"
        if config is None:
            file.write_text(BUILT_IN)
        with private_deployment(file, output) as deployment:
            async with running(deployment, output), RouterClient(deployment.router) as client:
                yield client


async def run(
    prompts: Sequence[str], plans: Sequence[str], config: Path | None, most: int,
    rules: Sequence[Acceptance], temperatures: Sequence[float], out: Path,
) -> list[Cell]:  # fmt: skip
    """Measure everything; the file grows with every cell."""
    output, cells = Output(), list[Cell]()
    async with served(config, output) as client:
        for plan in map(parse_plan, plans):
            for temperature in temperatures:
                asked = SamplingParams(temperature=temperature, seed=1)
                async for cell in measure(client, prompts, plan, asked, most, rules):
                    cells.append(cell)
                    out.write_text(json.dumps([asdict(one) for one in cells], indent=1))
                    output.note(" ".join(cell.row()))
    return cells


def main(
    prompts: Annotated[Path, typer.Argument(help="Rows with a `prompt`, or lines.")],
    out: Annotated[Path, typer.Option(help="JSON, written as cells come.")] = Path("rules.json"),
    figures: Annotated[Path | None, typer.Option(help="Folder of the picture.")] = None,
    config: Annotated[Path | None, typer.Option(help="Other tiers, such as a Qwen pair.")] = None,
    plan: Annotated[list[str] | None, typer.Option(help="Of that configuration.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Prompts.")] = 20,
    max_new_tokens: Annotated[int, typer.Option(min=2)] = 96,
    temperature: Annotated[list[float] | None, typer.Option(help="0 and 0.8 if not given.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A slice: 3 prompts, 32 tokens.")] = False,
) -> None:
    """Measure rules, print the table in Markdown, draw the curves."""
    if quick:
        limit, max_new_tokens = 3, 32
    texts = [one.text for one in read_prompts(prompts)]
    texts = texts[:: max(1, len(texts) // limit)][:limit]
    rules = acceptances((0.7, 0.3) if quick else STRICTNESS)
    try:
        heats = temperature or (0.0, 0.8)
        work = run(texts, plan or PLANS, config, max_new_tokens, rules, heats, out)
        cells = asyncio.run(work)
    except TiercelError as error:
        raise SystemExit(str(error)) from None
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for cell in cells:
        print("| " + " | ".join(cell.row()) + " |")
    if figures is not None:
        draw(cells, figures / "rules.png")


if __name__ == "__main__":
    typer.run(main)
