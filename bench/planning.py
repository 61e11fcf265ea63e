"""Do the seconds that `tiercel plan` predicts come true? Chains predicted from pairs, and measured.

    python -m bench.planning DATA --out planning.json [--config FILE] [--quick]

In every turn one prompt is answered by each tier alone and by each pair of neighbours with blocks
of two lengths: that is what is known. Another prompt is answered under each plan of the
configuration, whose blocks have other lengths, or which are deeper. All of them in an order drawn
anew, one at a time, so that both sides share the machine's noise. Intervals are percentiles of
turns drawn again with replacement, with all that is estimated from them.
"""

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from bench.live.asking import ask
from bench.live.mixture import KINDS, Prompt, mixture
from bench.live.surroundings import surroundings
from bench.planning_inputs import Sample, measurements, training_plans
from tiercel.cli.deployment import Deployment
from tiercel.cli.output import Output
from tiercel.cli.private_fleet import private_deployment, running
from tiercel.cli.running import tell_failures
from tiercel.clients.router import Request, RouterClient
from tiercel.decoding.chain_cost import Level
from tiercel.decoding.chain_time import Chain, predicted_seconds, run_seconds
from tiercel.plan_costs import Measurements, beginning_of, chain_of
from tiercel.plan_text import Outline
from tiercel.types import Plan, StopConditions

BUILT_IN = Path(__file__).with_name("planning.toml")
GOAL = 0.15
REPLICATES = 200


@dataclass(frozen=True)
class Told:
    """One chain: its mean seconds and passes, and what was predicted over what was measured."""

    name: str
    seconds: float
    passes: float
    ratio: float
    low: float
    high: float
    passes_ratio: float  # of the root: what does not depend on any clock

    @property
    def verdict(self) -> str:
        """Whether the prediction is as near as it has to be."""
        return "within 15 %" if abs(self.ratio - 1) <= GOAL else "off"


@dataclass
class Asking:
    """Asks plans for answers, and keeps what came."""

    client: RouterClient
    tokens: int
    samples: list[Sample]

    async def answer(self, turn: int, plan: Plan, prompt: Prompt) -> None:
        """Have a plan answer a prompt; raises TiercelError."""
        stop = StopConditions(max_new_tokens=self.tokens)
        got = await ask(self.client, Request("", stop=stop, plan=outline_of(plan)), prompt)
        usage = got.end.usage
        first_s = usage.time_to_first_token_s
        self.samples.append(Sample(turn, plan, got.seconds, first_s, usage))


def outline_of(plan: Plan) -> Outline:
    """Return a plan as a client writes it, its block lengths fixed."""
    written = (outline_of(one) for one in plan.drafters)
    numbers = (one.num_speculative_tokens for one in plan.drafters)
    both = zip(written, numbers, strict=True)
    below = tuple(replace(one, num_speculative_tokens=number) for one, number in both)
    return Outline(plan.tier, drafters=below)


async def measured(
    deployment: Deployment, prompts: Sequence[Prompt], tokens: int, seed: int, output: Output
) -> tuple[list[Sample], list[Sample]]:
    """Return the answers that inputs are taken from, and those that are predicted."""
    chains = [plan.plan() for plan in deployment.configuration.plans.values()]
    known, asked = training_plans(chains), list(zip(prompts[::2], prompts[1::2], strict=False))
    async with running(deployment, output), RouterClient(deployment.router) as client:
        inputs, outcomes = Asking(client, tokens, []), Asking(client, tokens, [])
        for plan in (*known, *chains):
            await Asking(client, 8, []).answer(0, plan, prompts[0])
        for turn, (one, other) in enumerate(asked):
            output.note(f"turn {turn + 1} of {len(asked)}")
            work = [(inputs, plan, one) for plan in known]
            work += [(outcomes, plan, other) for plan in chains]
            random.Random(f"{seed} {turn}").shuffle(work)
            for who, plan, prompt in work:
                await who.answer(turn, plan, prompt)
    return inputs.samples, outcomes.samples


def predicted(known: Measurements, samples: Sequence[Sample]) -> float:
    """Return the seconds that answers under one plan are predicted to take together."""
    plan = samples[0].plan
    chain, most = chain_of(known, plan), max(one.num_tokens for one in samples)
    later_s = run_seconds(chain, most - 1)
    prompts = (one.usage.num_prompt_tokens for one in samples)
    begun = (beginning_of(known, plan.tier, number) for number in prompts)
    first_s = sum(predicted_seconds(chain, 1, one) for one in begun)
    return first_s + sum(later_s[one.num_tokens - 1] for one in samples)


def predicted_passes(known: Measurements, sample: Sample) -> float:
    """Return the passes of the root after its prompt that an answer is predicted to take."""
    chain = chain_of(known, sample.plan)
    top = chain.levels[-1]
    rates = (top.acceptance_rate, 0.0, top.start_rate, top.continue_rate)
    counted = Chain(0.0, (Level(lambda width: 1.0, *rates),), chain.lengths[-1:])
    return run_seconds(counted, sample.num_tokens - 1)[sample.num_tokens - 1]


def compared(
    names: Mapping[str, Plan], inputs: Sequence[Sample], outcomes: Sequence[Sample], seed: int,
    replicates: int = REPLICATES,
) -> list[Told]:  # fmt: skip
    """Return every chain's prediction over its measurement, with intervals of 95 %."""
    turns = sorted({one.turn for one in outcomes})
    draws = np.random.default_rng(seed).choice(turns, (replicates, len(turns)))
    ratios = [_ratios(names, inputs, outcomes, draw.tolist()) for draw in draws]
    found = _ratios(names, inputs, outcomes, turns)
    low, high = np.quantile(np.array(ratios), (0.025, 0.975), axis=0)
    known, told = measurements(inputs), []
    for place, (name, plan) in enumerate(names.items()):
        own = [one for one in outcomes if one.plan == plan]
        passes = sum(one.num_passes for one in own)
        foreseen = sum(predicted_passes(known, one) for one in own)
        told.append(
            Told(
                name, sum(one.seconds for one in own) / len(own), passes / len(own), found[place],
                float(low[place]), float(high[place]), foreseen / max(1, passes),
            )
        )  # fmt: skip
    return told


def _ratios(
    names: Mapping[str, Plan], inputs: Sequence[Sample], outcomes: Sequence[Sample],
    turns: Sequence[int],
) -> list[float]:  # fmt: skip
    """Return predicted over measured seconds by chain, of turns that may come several times."""
    known = measurements([one for turn in turns for one in inputs if one.turn == turn])
    ratios = []
    for plan in names.values():
        own = [one for turn in turns for one in outcomes if (one.turn, one.plan) == (turn, plan)]
        ratios.append(predicted(known, own) / sum(one.seconds for one in own))
    return ratios


def _show(output: Output, told: Sequence[Told]) -> None:
    columns = ("chain", ">s", ">predicted / measured", ">passes", ">predicted / measured", "")
    rows = [
        (one.name, f"{one.seconds:.3f}", f"{one.ratio:.3f} [{one.low:.3f}, {one.high:.3f}]",
         f"{one.passes:.1f}", f"{one.passes_ratio:.3f}", one.verdict)
        for one in told
    ]  # fmt: skip
    output.table("seconds of an answer", columns, rows)


def main(
    data: Annotated[Path, typer.Argument(exists=True, help="Folder of JSONL files.")],
    out: Annotated[Path, typer.Option(help="All of it, as JSON.")] = Path("planning.json"),
    config: Annotated[
        Path, typer.Option(exists=True, help="Tiers and chains; planning_qwen.toml is one.")
    ] = BUILT_IN,
    turns: Annotated[int, typer.Option(min=2, help="Pairs of prompts.")] = 20,
    tokens: Annotated[int, typer.Option(min=2, help="Of an answer, at most.")] = 64,
    seed: Annotated[int, typer.Option(help="Of prompts, orders and replicates.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="A slice: 2 turns, 16 tokens.")] = False,
) -> None:
    """Measure, print predicted over measured seconds, write everything."""
    turns, tokens, output = (2, 16, Output()) if quick else (turns, tokens, Output())
    prompts = mixture(data, KINDS, -(-2 * turns // len(KINDS)), seed=seed, max_characters=1_200)
    with tell_failures(), private_deployment(config, output) as deployment:
        work = measured(deployment, prompts[: 2 * turns], tokens, seed, output)
        inputs, outcomes = asyncio.run(work)
    plans = {name: plan.plan() for name, plan in deployment.configuration.plans.items()}
    told = compared(plans, inputs, outcomes, seed)
    content: dict[str, Any] = {
        **surroundings(),
        "known": measurements(inputs).model_dump(),
        "chains": [asdict(one) for one in told],
        "inputs": [asdict(one) for one in inputs],
        "outcomes": [asdict(one) for one in outcomes],
    }
    out.write_text(json.dumps(content, indent=1, default=str) + "\n")
    _show(output, told)


if __name__ == "__main__":
    typer.run(main)
