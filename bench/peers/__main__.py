"""Tiercel against its peers in one run, on this machine.

    python -m bench.peers --out results.json [--prompts FILE] [--per-task 4] [--rounds 3] [--quick]

Peers are installed into an environment of their own in the user's cache folder, once. Every system
answers the same rendered prompts greedily, until the model's own end of text or `--tokens` tokens,
prompt by prompt in turns. Tiercel's answers go through its router and tiers and are timed by their
client; peers are called inside their own process, with no network to pay for.
"""

import json
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.limits.machine import describe
from bench.peers.environment import REPOSITORY
from bench.peers.measurement import Measurement, Outcome, questions, spread
from bench.peers.report import Comparison, disagreements, ratio
from bench.peers.systems import PROMPTS, System, all_systems
from bench.peers.tables import columns, rate_rows, ratio_rows
from tiercel.cli.bench.prompts import read_prompts
from tiercel.cli.output import Output
from tiercel.cli.running import tell_failures
from tiercel.models.embedded import DEFAULT_MODEL
from tiercel.models.resolve import resolve

_QUICK = {"per_task": 1, "rounds": 1, "tokens": 32}


def main(
    out: Annotated[Path, typer.Option(help="Everything measured, as JSON.")],
    prompts: Annotated[Path, typer.Option(exists=True, help="JSONL: `prompt`, `task`.")] = PROMPTS,
    per_task: Annotated[int | None, typer.Option(min=1, help="Prompts of each kind.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    tokens: Annotated[int, typer.Option(min=8)] = 128,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    ours: Annotated[str, typer.Option(help="What is set over all others.")] = (
        "tiercel int4 <- suffix:8"
    ),
    only: Annotated[list[str] | None, typer.Option(help="Systems whose name has this.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A slice in two minutes.")] = False,
) -> None:
    """Measure every system and print tokens a second and ratios."""
    if quick:
        per_task, rounds, tokens = _QUICK["per_task"], _QUICK["rounds"], _QUICK["tokens"]
    output = Output()
    systems = [one for one in all_systems(threads) if _chosen(one, only)]
    with tell_failures():
        chosen = spread(read_prompts(prompts), per_task)
        asked = questions(chosen, resolve(DEFAULT_MODEL).read_tokenizer(), tokens)
    began = time.time()
    outcome = Measurement(systems, output.note).run(
        asked, [prompt.task for prompt in chosen], rounds=rounds
    )
    about = {"began": began, "rounds": rounds, "max_new_tokens": tokens, "threads": threads}
    comparison = Comparison.of(outcome.samples)
    _write(out, {**about, **_surroundings()}, outcome, comparison)
    _show(output, outcome, comparison, ours, systems)


def _chosen(system: System, only: list[str] | None) -> bool:
    return not only or any(part in system.name for part in only)


def _surroundings() -> dict[str, Any]:
    git = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return {"commit": done.stdout.strip(), "processor": describe()}


def _write(path: Path, about: dict[str, Any], outcome: Outcome, comparison: Comparison) -> None:
    rates = comparison.whole
    pairs = [(ours, other) for ours in rates if ours.startswith("tiercel") for other in rates]
    ratios = [
        {
            "ours": ours,
            "other": other,
            "task": task,
            **{
                kind: asdict(ratio(table[ours][rows], table[other][rows]))
                for kind, table in (("whole", comparison.whole), ("decoding", comparison.decoding))
            },
        }
        for ours, other in pairs
        if ours != other
        for task in (None, *dict.fromkeys(comparison.tasks))
        for rows in [comparison.rows_of(task)]
    ]
    lengths = {"lengths": comparison.lengths, "num_too_short": comparison.num_too_short}
    path.write_text(json.dumps({**about, **lengths, **asdict(outcome), "ratios": ratios}))


def _show(
    output: Output,
    outcome: Outcome,
    comparison: Comparison,
    ours: str,
    systems: list[System],
) -> None:
    for kind, rates in (
        ("whole answers", comparison.whole),
        ("after the first token", comparison.decoding),
    ):
        title = f"tokens a second, {kind}"
        output.table(title, columns(comparison, "system"), rate_rows(comparison, rates))
        if ours in rates:
            title = f"{ours}, times as fast as, {kind} [95 % interval]"
            output.table(title, columns(comparison, "over"), ratio_rows(comparison, rates, ours))
    output.line()
    for name, reason in outcome.missing.items():
        output.line(f"not measured: {name}: {reason}")
    if comparison.num_too_short:
        output.line(f"{comparison.num_too_short} prompts had too short an answer to be compared")
    roots = {one.name: one.root for one in systems if one.root}
    for root, count in disagreements(outcome.samples, roots).items():
        output.line(f"root {root}: {count} prompts whose answers differ between plans or rounds")


if __name__ == "__main__":
    typer.run(main)
