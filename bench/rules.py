"""What acceptance rules cost and bring: tokens accepted, tokens EXACT would have refused, speed.

    python -m bench.rules PROMPTS --out rules.json --figure rules.png [--quick] [--config FILE]

Every rule at every strictness and every plan answers the same prompts through services of its own,
in turn with the plan's root alone, whose speed the ratio is over. Prompts are fed before, so speeds
are those of decoding. Under plans of several drafters AGREEMENT is held against EXACT, where
`--agreement` names a calibration of that temperature (`tiercel agreement`). The file grows with
every cell, and the same command goes on where it was stopped. The lossy rules are drawn as
divergence against acceptance, a curve for each, at temperature 0: above it another draw counts as
divergent too.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from bench.rule_cells import COLUMNS, Cell, Cells, draw
from tiercel.cli.bench.prompts import read_prompts
from tiercel.cli.options import conversation
from tiercel.cli.output import Output
from tiercel.cli.private_fleet import private_deployment, running
from tiercel.clients.router import Request, RouterClient
from tiercel.decoding import AgreementTable
from tiercel.errors import TiercelError
from tiercel.plan_text import Outline, parse_plan
from tiercel.replies import Finished
from tiercel.rules import is_lossy
from tiercel.tiers import Setting
from tiercel.types import Acceptance, Rule, SamplingParams, StopConditions

BUILT_IN = Path(__file__).with_name("rules.toml")
PLANS = ("target <- distilled:4", "target <- suffix:4", "target <- [int8:4, suffix:8]")
STRICTNESS = (0.9, 0.7, 0.5, 0.3, 0.1)
_CACHED_TOKENS = 16_384  # of prompts


@dataclass(frozen=True)
class Sizes:
    """How much is asked, and at which strictnesses."""

    limit: int = 20
    max_new_tokens: int = 96
    strictnesses: Sequence[float] = STRICTNESS

    def quick(self) -> "Sizes":
        """Return a slice of it."""
        return Sizes(3, 32, (0.7, 0.3))

    def of(self, texts: Sequence[str]) -> list[str]:
        """Return the prompts that are asked, from all parts of a file."""
        return list(texts[:: max(1, len(texts) // self.limit)][: self.limit])


def acceptances(plan: Outline, strictnesses: Sequence[float]) -> list[Acceptance]:
    """Return what is compared: the rules that promise something, then the lossy ones.

    Rules that judge one draft say nothing new of several drafters, and AGREEMENT nothing of one. A
    decision tree is not there.
    """
    if len(plan.drafters) > 1:
        return [Acceptance(), *(Acceptance(Rule.AGREEMENT, one) for one in strictnesses)]
    firm = [Acceptance(rule) for rule in Rule if not is_lossy(rule)]
    left_out = {Rule.COSD_TREE, Rule.AGREEMENT}
    lossy = [rule for rule in Rule if is_lossy(rule) and rule not in left_out]
    return firm + [Acceptance(rule, one) for rule in lossy for one in strictnesses]


async def measure(
    client: RouterClient,
    prompts: Sequence[str],
    plan: Outline,
    like: Request,
    rules: Sequence[Acceptance],
) -> AsyncIterator[Cell]:
    """Yield a cell for each rule; the root alone answers before every fourth.

    `like` says how tokens are drawn, and how long an answer is.
    """
    like, plain = replace(like, plan=plan), list[Finished]()
    if rules:
        await _ends(client, prompts, replace(like, stop=StopConditions(max_new_tokens=2)))
    for number, acceptance in enumerate(rules):
        if number % 4 == 0:
            plain = await _ends(client, prompts, replace(like, plan=Outline(plan.tier)))
        ends = await _ends(client, prompts, replace(like, acceptance=acceptance))
        yield _cell(plan, like.sampling.temperature, acceptance, plain, ends)


async def _ends(client: RouterClient, prompts: Sequence[str], like: Request) -> list[Finished]:
    ends = []
    for prompt in prompts:
        request = replace(like, prompt=conversation(prompt))
        events = [event async for event in client.generate(request)]
        end = events[-1]
        assert isinstance(end, Finished)
        ends.append(end)
    return ends


def _cell(
    plan: Outline,
    temperature: float,
    acceptance: Acceptance,
    plain: Sequence[Finished],
    ends: Sequence[Finished],
) -> Cell:
    pairs = [p for end in ends for p in end.usage.pairs if p.verifier == plan.tier]
    uses = [end.rule_use for end in ends if end.rule_use is not None]
    passes = [t.num_forward_passes for e in ends for t in e.usage.tiers if t.tier == plan.tier]
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
        num_passes=sum(passes),
        num_accepted=sum(pair.num_accepted_tokens for pair in pairs),
        num_judged=sum(pair.num_accepted_tokens + pair.num_rejected_tokens for pair in pairs),
        similarity=1 - variation / num_compared if num_compared else None,
        num_compared=sum(use.num_compared_tokens for use in uses),
        num_divergent=sum(use.num_divergent_tokens for use in uses),
        num_unjudged=sum(use.num_unjudged_tokens for use in uses),
        logprob_gap=sum(use.logprob_gap for use in uses),
        plain_tokens_per_s=plain_tokens / plain_seconds,
    )


def _speed(ends: Iterable[Finished]) -> tuple[int, float]:
    used = [end.usage for end in ends]
    return sum(u.num_completion_tokens for u in used), sum(u.total_s for u in used)


@asynccontextmanager
async def served(
    config: Path, calibration: Path | None, output: Output
) -> AsyncIterator[RouterClient]:
    """Run the services of a configuration; they end with the context."""
    settings: dict[str, Setting] = {"prefix_cache_tokens": _CACHED_TOKENS}
    if calibration is not None:
        settings["agreement"] = str(calibration.resolve())
    with private_deployment(config, output, settings) as deployment:
        async with running(deployment, output), RouterClient(deployment.router) as client:
            yield client


def calibrated(files: Sequence[Path]) -> dict[float, Path]:
    """Return calibrations by their temperature; raises ModelUnavailable for what is none."""
    return {AgreementTable.load(path).temperature: path for path in files}


async def run(
    prompts: Sequence[str],
    plans: Sequence[Outline],
    sizes: Sizes,
    temperature: float,
    serving: tuple[Path, Path | None],
    cells: Cells,
) -> None:
    """Measure, at one temperature, what is not there yet; `serving`: tiers and calibration."""
    output, asked = Output(), SamplingParams(temperature=temperature, seed=1)
    like = Request("", asked, stop=StopConditions(max_new_tokens=sizes.max_new_tokens))
    missing = {
        plan: cells.missing(plan, temperature, acceptances(plan, sizes.strictnesses))
        for plan in plans
        if len(plan.drafters) == 1 or serving[1] is not None
    }
    if not any(missing.values()):
        return
    async with served(*serving, output) as client:
        for plan, rules in missing.items():
            async for cell in measure(client, prompts, plan, like, rules):
                cells.add(cell)
                output.note(" ".join(cell.row()))


def main(
    prompts: Annotated[Path, typer.Argument(help="Rows with a `prompt`, or lines.")],
    out: Annotated[Path, typer.Option(help="JSON, written as cells come.")] = Path("rules.json"),
    figure: Annotated[Path | None, typer.Option(help="The picture, a PNG.")] = None,
    config: Annotated[
        Path, typer.Option(exists=True, help="Tiers; rules_qwen.toml are others.")
    ] = BUILT_IN,
    plan: Annotated[list[str] | None, typer.Option(help="Of that configuration.")] = None,
    agreement: Annotated[
        list[Path] | None, typer.Option(exists=True, help="Calibration; one a temperature.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Prompts.")] = Sizes.limit,
    max_new_tokens: Annotated[int, typer.Option(min=2)] = Sizes.max_new_tokens,
    strictness: Annotated[list[float] | None, typer.Option(min=0, max=1)] = None,
    temperature: Annotated[list[float] | None, typer.Option(help="0 and 0.8 if not given.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A slice: 3 prompts, 32 tokens.")] = False,
) -> None:
    """Measure rules, print the table in Markdown, draw the curves."""
    sizes = Sizes(limit, max_new_tokens, strictness or STRICTNESS)
    sizes = sizes.quick() if quick else sizes
    texts = sizes.of([one.text for one in read_prompts(prompts)])
    plans = [parse_plan(one) for one in plan or PLANS]
    try:
        cells = Cells.load(out, texts, sizes.max_new_tokens)
        tables = calibrated(agreement or ())
        for heat in temperature or (0.0, 0.8):
            asyncio.run(run(texts, plans, sizes, heat, (config, tables.get(heat)), cells))
    except TiercelError as error:
        raise SystemExit(str(error)) from None
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for cell in cells:
        print("| " + " | ".join(cell.row()) + " |")
    if figure is not None:
        draw(list(cells), figure)


if __name__ == "__main__":
    typer.run(main)
