"""Which drafters pay: the acceptance and the milliseconds a token that reach given speed-ups.

    python -m bench.economics [--engine native] [--dtype int4] [--goal 1.25 ...] [--json out.json]

Passes of the target are measured in turns, width by width; the time of each is the median of its
repeats. What a chain of the target and one drafter costs is `tiercel.decoding.chain_cost`, with
the best block length for each drafter; plain decoding is passes of one token.
"""

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from tiercel import engines
from tiercel.cli.output import Output
from tiercel.decoding.chain_cost import Level, StepTime, best_schedule
from tiercel.engines.language_model import LanguageModel, Step
from tiercel.models.embedded import DEFAULT_MODEL

WIDTHS = (1, 2, 3, 4, 5, 6, 7, 9, 12, 17)
GOALS = (1.25, 1.5, 2.2)
DRAFTER_MS = (0.0, 0.05, 0.1, 0.3, 0.6, 1.2, 2.4)
ACCEPTANCES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
LONGEST_BLOCK = WIDTHS[-1] - 1
_DRAFTER = ">drafter, ms a token"
_STEPS = 1000  # acceptance rates are told apart to a thousandth


@dataclass(frozen=True)
class Target:
    """A tier that verifies: seconds of a pass by its width, and of a way to the drafter."""

    pass_s: Mapping[int, float]
    round_trip_s: float

    def level(self, acceptance_rate: float) -> Level:
        """Return the target over a drafter of so many accepted tokens."""
        return Level(self.step_s, acceptance_rate, self.round_trip_s)

    @property
    def step_s(self) -> StepTime:
        """Seconds of a pass of any width, between the measured ones on straight lines."""
        return partial(_between, tuple(self.pass_s), tuple(self.pass_s.values()))

    def speed_up(self, acceptance_rate: float, draft_s: float) -> tuple[float, int]:
        """Return how much faster than plain decoding, and with blocks of how many tokens."""
        best = best_schedule(draft_s, [self.level(acceptance_rate)], LONGEST_BLOCK)
        return self.step_s(1) / best.cost_per_token_s, best.num_speculative_tokens[0]

    def least_acceptance(self, goal: float, draft_s: float) -> float | None:
        """Return the lowest acceptance rate that reaches `goal`, None if 1 does not."""
        low, high = 0, _STEPS + 1
        while low < high:
            middle = (low + high) // 2
            reached = self.speed_up(min(1.0, middle / _STEPS), draft_s)[0] >= goal
            low, high = (low, middle) if reached else (middle + 1, high)
        return low / _STEPS if low <= _STEPS else None


@dataclass(frozen=True)
class Cell:
    """What one drafter needs for one goal; no acceptance rate is enough if it is None."""

    drafter_ms: float
    goal: float
    least_acceptance: float | None
    num_speculative_tokens: int | None


def _between(widths: Sequence[int], seconds: Sequence[float], width: int) -> float:
    return float(np.interp(width, widths, seconds))


def measure(
    model: LanguageModel, widths: Sequence[int], *, context: int, repeats: int
) -> dict[int, float]:
    """Return the median seconds of a pass of each width behind `context` tokens."""
    cache = model.open()
    model.extend([Step(cache, _tokens(model, context), 1)])
    times: dict[int, list[float]] = {width: [] for width in widths}
    for turn in range(repeats + 1):
        for width in widths:
            began = time.perf_counter()
            model.extend([Step(cache, _tokens(model, width), width)])
            if turn:  # the first is for warming up
                times[width].append(time.perf_counter() - began)
            cache.truncate(context)
    cache.close()
    return {width: statistics.median(found) for width, found in times.items()}


def _tokens(model: LanguageModel, number: int) -> list[int]:
    return [(17 * index + 3) % model.description.vocab_size for index in range(number)]


def cells(target: Target, drafters_ms: Sequence[float], goals: Sequence[float]) -> list[Cell]:
    """Return what each drafter needs for each goal."""
    return [_cell(target, drafter_ms, goal) for drafter_ms in drafters_ms for goal in goals]


def _cell(target: Target, drafter_ms: float, goal: float) -> Cell:
    least = target.least_acceptance(goal, drafter_ms / 1e3)
    length = None if least is None else target.speed_up(least, drafter_ms / 1e3)[1]
    return Cell(drafter_ms, goal, least, length)


def _show(output: Output, target: Target, found: Sequence[Cell]) -> None:
    plain_s = target.pass_s[1]
    passes: list[tuple[str, ...]] = [
        (str(width), f"{1e3 * seconds:.2f}", f"{seconds / plain_s:.2f}")
        for width, seconds in target.pass_s.items()
    ]
    output.table("passes of the target", (">width", ">ms", ">times width 1"), passes)
    drafters_ms = list(dict.fromkeys(cell.drafter_ms for cell in found))
    goals = [f">{cell.goal:g}x" for cell in found if cell.drafter_ms == drafters_ms[0]]
    needs = [
        (f"{drafter_ms:g}", *(_needs(cell) for cell in found if cell.drafter_ms == drafter_ms))
        for drafter_ms in drafters_ms
    ]
    title = "acceptance that reaches a speed-up, and the length of a block"
    output.table(title, (_DRAFTER, *goals), needs)
    speed_ups = [
        (f"{ms:g}", *(f"{target.speed_up(rate, ms / 1e3)[0]:.2f}" for rate in ACCEPTANCES))
        for ms in drafters_ms
    ]
    rates = [f">{rate:g}" for rate in ACCEPTANCES]
    output.table("speed-up by acceptance", (_DRAFTER, *rates), speed_ups)


def _needs(cell: Cell) -> str:
    if cell.least_acceptance is None:
        return "never"
    return f"{cell.least_acceptance:.2f} in {cell.num_speculative_tokens}"


def main(
    engine: Annotated[str, typer.Option(help="Engine of the target.")] = "native",
    model: Annotated[str, typer.Option(help="The target.")] = DEFAULT_MODEL,
    dtype: Annotated[str, typer.Option(help="Number format of its weights.")] = "int4",
    threads: Annotated[int, typer.Option(min=0, help="Threads of a pass; 0: every core.")] = 0,
    context: Annotated[int, typer.Option(min=1, help="Tokens before each pass.")] = 200,
    repeats: Annotated[int, typer.Option(min=1, help="Measured passes of each width.")] = 20,
    round_trip_ms: Annotated[
        float, typer.Option(min=0, help="To the drafter and back, once a block.")
    ] = 0.0,
    goal: Annotated[list[float] | None, typer.Option(min=1, help="A speed-up; several.")] = None,
    drafter_ms: Annotated[
        list[float] | None, typer.Option(min=0, help="Of a drafter's token; several.")
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="File for the figures.")] = None,
) -> None:
    """Measure the target, and print which drafters reach the goals."""
    output, goals = Output(), goal or list(GOALS)
    with output.working(f"loading {model}"):
        target_model, _ = engines.load(engine, model, dtype=dtype, threads=threads)
    with output.working("measuring"):
        times = measure(target_model, WIDTHS, context=context, repeats=repeats)
    target_model.close()
    target = Target(times, round_trip_ms / 1e3)
    found = cells(target, drafter_ms or list(DRAFTER_MS), goals)
    _show(output, target, found)
    if json_out is not None:
        about = {"engine": engine, "model": model, "dtype": dtype, "threads": threads}
        about |= {"context": context, "round_trip_ms": round_trip_ms}
        figures = {"pass_ms": {width: 1e3 * s for width, s in times.items()}}
        json_out.write_text(
            json.dumps(about | figures | {"cells": [asdict(c) for c in found]}, indent=2) + "\n"
        )


if __name__ == "__main__":
    typer.run(main)
