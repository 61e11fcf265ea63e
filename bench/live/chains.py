"""The adaptive router against every static chain of a configuration, in one run, goals included.

    python -m bench.live.chains DATA --out chains.json [--figures FOLDER] [--config FILE] [--quick]

Three phases: as is; one tier slowed down for real (`slowing.py`); several clients at once. Static
arms name a plan; the adaptive arm leaves it open (policy `fastest`, which re-planning may change in
mid-answer). In every turn each arm answers the same prompts, in an order drawn anew, one arm at a
time, so that noise is shared. All arms share the services: what the adaptive arm knows of drafters
it did not choose comes from the others' answers, and its requests are a part of all of them only.
Nothing is kept of earlier answers or prompts. All plans must have one root under `exact`.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.live.asking import seconds_per_unit
from bench.live.chain_arms import arms_of, pids_of, to_slow
from bench.live.figures import draw_phases
from bench.live.mixture import KINDS, mixture
from bench.live.phases import Run, Sample, chosen, disagreements, timed, waves
from bench.live.ratios import Result, compared, told, verdicts
from bench.live.slowing import slowed
from bench.live.surroundings import surroundings
from tiercel.cli.deployment import Deployment
from tiercel.cli.output import Output
from tiercel.cli.private_fleet import private_deployment, running
from tiercel.cli.running import tell_failures
from tiercel.clients.router import RouterClient

BUILT_IN = Path(__file__).with_name("chains.toml")
AS_IS, SLOWED, CROWDED = "as is", "one tier slowed", "clients at once"


@dataclass(frozen=True)
class Sizes:
    """How much is asked, of what, and how hard it is made; `slow` empty: what hurts most."""

    kinds: tuple[str, ...] = KINDS
    per_kind: int = 8
    tokens: int = 96
    clients: int = 8
    waves: int = 8
    slow: str = ""
    factor: float = 3.0
    seed: int = 1

    def quick(self) -> "Sizes":
        """Return a slice of it: seconds of work, and no figure to believe."""
        return replace(self, per_kind=1, tokens=24, waves=1)


@dataclass(frozen=True)
class Outcome:
    """All answers, the arms, the tier that was slowed, and what a unit of its work took."""

    arms: list[str]
    samples: list[Sample]
    slowed: str
    unit_s: dict[str, float | None]  # by phase

    @property
    def slow_down(self) -> float | None:
        """How many times as long its work took while it was slowed; None if it did not work."""
        before, after = self.unit_s[AS_IS], self.unit_s[SLOWED]
        return after / before if before and after else None


async def measured(deployment: Deployment, data: Path, sizes: Sizes, output: Output) -> Outcome:
    """Run the three phases; raises TiercelError."""
    configuration = deployment.configuration
    arms = arms_of(configuration, sizes.tokens)
    asked = mixture(data, sizes.kinds, sizes.per_kind, seed=sizes.seed)
    async with running(deployment, output) as supervisor, RouterClient(deployment.router) as client:
        run = Run(client, arms, sizes.seed, output.note)
        await run.warm_up(mixture(data, sizes.kinds, 1, seed=sizes.seed))
        await run.phase(AS_IS, [[prompt] for prompt in asked])
        names = list(arms)
        best = names[compared(timed(run.samples, names))[0].best]
        tier = sizes.slow or to_slow(configuration, best)
        async with slowed(pids_of(supervisor, tier), sizes.factor):
            await run.phase(SLOWED, [[prompt] for prompt in asked])
        await run.phase(CROWDED, waves(asked, sizes.waves, sizes.clients))
    return _outcome(names, run.samples, tier)


def _outcome(names: list[str], samples: list[Sample], tier: str) -> Outcome:
    works = {
        phase: [one.work for one in samples if one.phase == phase] for phase in (AS_IS, SLOWED)
    }
    unit_s = {phase: seconds_per_unit(found, tier) for phase, found in works.items()}
    return Outcome(names, samples, tier, unit_s)


def result_of(outcome: Outcome, sizes: Sizes) -> tuple[dict[str, Any], list[Result]]:
    """Return what is written, and the comparison of each phase."""
    results = compared(timed(outcome.samples, outcome.arms), seed=sizes.seed)
    content = {
        **surroundings(),
        **{name: value for name, value in asdict(sizes).items() if name != "slow"},
        "arms": outcome.arms,
        "slowed": outcome.slowed,
        "measured_slow_down": outcome.slow_down,
        "results": [asdict(one) for one in results],
        "verdicts": dict(verdicts(results)),
        "chosen": {one.name: chosen(outcome.samples, one.name) for one in results[:-1]},
        "num_disagreements": disagreements(outcome.samples),
        "samples": [asdict(one) for one in outcome.samples],
    }
    return content, results


def _show(output: Output, outcome: Outcome, results: Sequence[Result], content: Any) -> None:
    columns = ("arm", *(f">{one.name}" for one in results))
    rows = [
        (arm, *(f"{one.mean_s[place]:.3f}" for one in results))
        for place, arm in enumerate(outcome.arms)
    ]
    rows.append(("best static", *(outcome.arms[one.best] for one in results)))
    rows.append(("adaptive / best static", *(told(one.ratio) for one in results)))
    output.table("mean seconds a request [95 % interval]", columns, rows)
    factor = outcome.slow_down
    worked = "it did not work" if factor is None else f"its work took {factor:.1f} times as long"
    output.line(f"slowed: {outcome.slowed}; {worked}")
    for phase, shares in content["chosen"].items():
        said = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        output.line(f"the adaptive arm, {phase}: {said}")
    output.line(f"prompts that two arms answered differently: {content['num_disagreements']}")
    for goal, verdict in content["verdicts"].items():
        output.line(f"{goal}: {verdict}")


def main(
    data: Annotated[Path, typer.Argument(exists=True, help="Folder of JSONL files.")],
    out: Annotated[Path, typer.Option(help="Everything measured, as JSON.")] = Path("chains.json"),
    figures: Annotated[Path | None, typer.Option(help="Folder of the picture.")] = None,
    config: Annotated[
        Path, typer.Option(exists=True, help="Tiers and plans; chains_qwen.toml is one.")
    ] = BUILT_IN,
    kind: Annotated[list[str] | None, typer.Option(help="Files, without .jsonl.")] = None,
    per_kind: Annotated[int, typer.Option(min=1, help="Prompts of each.")] = Sizes.per_kind,
    tokens: Annotated[int, typer.Option(min=2, help="Of an answer, at most.")] = Sizes.tokens,
    clients: Annotated[int, typer.Option(min=2, help="At once.")] = Sizes.clients,
    num_waves: Annotated[int, typer.Option("--waves", min=1, help="Of clients.")] = Sizes.waves,
    slow: Annotated[str, typer.Option(help="The tier to slow; else what hurts most.")] = "",
    factor: Annotated[float, typer.Option(min=1.0, help="By how much.")] = Sizes.factor,
    seed: Annotated[int, typer.Option(help="Of orders and replicates.")] = Sizes.seed,
    quick: Annotated[bool, typer.Option("--quick", help="A slice, in a minute.")] = False,
) -> None:
    """Measure, print tables and verdicts, write everything, draw the picture."""
    kinds = tuple(kind or KINDS)
    sizes = Sizes(kinds, per_kind, tokens, clients, num_waves, slow, factor, seed)
    sizes, output = sizes.quick() if quick else sizes, Output()
    with tell_failures(), private_deployment(config, output) as deployment:
        outcome = asyncio.run(measured(deployment, data, sizes, output))
    content, results = result_of(outcome, sizes)
    out.write_text(json.dumps(content, indent=1) + "\n")
    _show(output, outcome, results, content)
    if figures is not None:
        figures.mkdir(parents=True, exist_ok=True)
        draw_phases(results, outcome.arms, figures / "live-chains.png")


if __name__ == "__main__":
    typer.run(main)
