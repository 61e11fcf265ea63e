"""Many clients at once, Tiercel's services against llama.cpp's server, on this machine.

    python -m bench.concurrency --out results.json [--clients 1 --clients 8] [--rounds 3] [--quick]

A wave is so many clients who ask at the same moment and get `--tokens` tokens each, ends of text
ignored. The systems take turns wave by wave. Ours answer through router and tiers and are timed by
their client; llama.cpp's server has as many slots as there are clients, and is called inside its
own process. Neither keeps prompts: every wave pays for its prefill.
"""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bench.concurrency.measurement import PEER, Measurement, Outcome, all_commands
from bench.concurrency.summary import Summary
from bench.limits.machine import describe
from bench.peers.measurement import questions
from bench.peers.systems import PROMPTS
from tiercel.cli.bench.prompts import read_prompts
from tiercel.cli.output import Output
from tiercel.cli.running import tell_failures
from tiercel.models.embedded import DEFAULT_MODEL
from tiercel.models.resolve import resolve

_COLUMNS = (
    "system", ">clients", ">tokens/s", ">lowest to highest", ">first token s", ">last client's",
    ">ms a token", ">longest pause ms", f">over {PEER}",
)  # fmt: skip


def main(
    out: Annotated[Path, typer.Option(help="Everything measured, as JSON.")],
    prompts: Annotated[Path, typer.Option(exists=True, help="JSONL: `prompt`, `task`.")] = PROMPTS,
    clients: Annotated[list[int] | None, typer.Option(min=1, help="Clients at once.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    tokens: Annotated[int, typer.Option(min=8)] = 64,
    threads: Annotated[int, typer.Option(min=1, help="Of llama.cpp; ours: a core each.")] = 2,
    only: Annotated[list[str] | None, typer.Option(help="Systems whose name has this.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="1 and 4 clients, one round.")] = False,
) -> None:
    """Measure every system and print tokens a second, waits and ratios."""
    sizes = clients or ([1, 4] if quick else [1, 2, 4, 8, 16])
    rounds, tokens = (1, 16) if quick else (rounds, tokens)
    output = Output()
    commands = {
        name: command
        for name, command in all_commands(threads, max(sizes)).items()
        if not only or any(part in name for part in only)
    }
    with tell_failures():
        tokenizer = resolve(DEFAULT_MODEL).read_tokenizer()
        asked = questions(read_prompts(prompts), tokenizer, tokens)
    began = time.time()
    outcome = Measurement(commands, output.note).run(asked, sizes, rounds)
    about = {"began": began, "rounds": rounds, "max_new_tokens": tokens, "threads": threads}
    out.write_text(json.dumps({**about, "processor": describe(), **asdict(outcome)}))
    _show(output, outcome)


def _show(output: Output, outcome: Outcome) -> None:
    summary = Summary(outcome.samples)
    rows = [_row(summary, name, size) for size in summary.sizes for name in summary.systems]
    output.table("clients at once", _COLUMNS, rows)
    for name, reason in outcome.missing.items():
        output.line(f"not measured: {name}: {reason}")


def _row(summary: Summary, name: str, size: int) -> list[str]:
    one, (low, high) = summary.of(name, size), summary.spread(name, size)
    compared = PEER in summary.systems and name != PEER
    times = summary.over(name, PEER, size) if compared else None
    return [
        name,
        str(size),
        f"{one.tokens_per_s:.1f}",
        f"{low:.1f} to {high:.1f}",
        f"{one.first_s:.2f}",
        f"{one.last_first_s:.2f}",
        f"{1e3 * one.per_token_s:.1f}",
        f"{1e3 * one.longest_pause_s:.0f}",
        f"{times.mean:.2f} [{times.low:.2f}, {times.high:.2f}]" if times else "",
    ]


if __name__ == "__main__":
    typer.run(main)
