"""A lossy rule whose strictness starts wrong on purpose, on running services that learn.

    python -m bench.live.strictness DATA --scenario lenient --out lenient.json [--figures FOLDER]
    python -m bench.live.strictness DATA --scenario strict ...
    python -m bench.live.strictness DATA --scenario shift ...

First audits certify what they can (kept in --certificate: later runs go on from it). Then services
are started that are told to begin at the most lenient level, at 0.99, or where audits left them
(`shift`: maths first, then stories), and answer `--answers` prompts while a share of them is
audited. In the end the same prompts, of behind the transient, are answered at fixed strictnesses.
Goodput is tokens over counts times step times of an idle machine; a drafter that is not among those
counts with one constant, measured here. Harm is that of the audits: the root finds the answer less
likely than EXACT's, by --delta nats per token. The best fixed strictness is the one of most goodput
among those of no more harm. In `shift` the caller tells the kind of each request, and each kind has
its certificate and its strictness; otherwise there is one for both.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.live.examining import Examined, examined
from bench.live.figures import draw_learning
from bench.live.learning_services import PAIRS, Lesson, opened
from bench.live.lessons import Lessons, Step
from bench.live.mixture import Prompt, mixture
from bench.live.settling import Comparison, Judged, compared, settled_at
from bench.live.strictness_rows import Row, audits_of, learned_row, strictness_of
from bench.live.surroundings import surroundings
from tiercel.cli.output import Output
from tiercel.cli.running import tell_failures
from tiercel.errors import InvalidRequest
from tiercel.evaluation.statistics import Estimate
from tiercel.evaluation.step_cost import STEP_TIMES_FILE, StepTimes
from tiercel.types import Rule

MATHS, STORIES = "gsm8k_test", "writingprompts"
_MOST_CERTIFYING = 1_000  # answers


class Scenario(StrEnum):
    """What is wrong at the beginning, or changes on the way."""

    LENIENT = "lenient"
    STRICT = "strict"
    SHIFT = "shift"


@dataclass(frozen=True)
class Sizes:
    """How much is asked."""

    answers: int = 500
    judged: int = 100
    tokens: int = 48
    seed: int = 1


def prompts_of(data: Path, scenario: Scenario, sizes: Sizes) -> tuple[list[Prompt], list[Prompt]]:
    """Return mixed prompts to certify with, and those of the run; none is in both."""
    half = (sizes.answers + 1) // 2
    every = {kind: mixture(data, [kind], sizes.answers + half, seed=sizes.seed)
             for kind in (MATHS, STORIES)}  # fmt: skip
    maths, stories = (each[:half] for each in every.values())
    if min(len(maths), len(stories)) < half:
        raise InvalidRequest("answers", sizes.answers, "there are not so many prompts")
    certifying = _in_turns(*(each[half:] for each in every.values()))
    run = [*maths, *stories] if scenario is Scenario.SHIFT else _in_turns(maths, stories)
    return certifying, run


def _in_turns(*kinds: Sequence[Prompt]) -> list[Prompt]:
    return [prompt for turn in zip(*kinds, strict=False) for prompt in turn]


def wrong_at_first(scenario: Scenario, lesson: Lesson) -> Lesson:
    """Return the lesson that begins as the scenario has it, unless it says where itself."""
    if lesson.first is not None:
        return lesson
    wrong = {Scenario.LENIENT: lesson.levels[-1], Scenario.STRICT: 0.99}
    return replace(lesson, first=wrong.get(scenario))


async def certified(
    lesson: Lesson, prompts: Sequence[Prompt], tokens: int, path: Path, output: Output
) -> bytes:
    """Return what audits certified, from the file or else by services of their own."""
    if path.exists():
        return path.read_bytes()
    async with opened(lesson.written(certifying=True), lesson, output) as room:
        lessons = Lessons(room, tokens, tells_kinds=True, told=output.note)
        learned = await lessons.certified(prompts, _MOST_CERTIFYING)
    path.write_bytes(learned)
    return learned


async def led(
    lesson: Lesson, prompts: Sequence[Prompt], learned: bytes, scenario: Scenario, tokens: int,
    output: Output,
) -> list[Step]:  # fmt: skip
    """Return the answers of services that begin with what is learned."""
    async with opened(lesson.written(), lesson, output) as room:
        tells_kinds = scenario is Scenario.SHIFT
        lessons = Lessons(room, tokens, tells_kinds=tells_kinds, told=output.note)
        await lessons.restored(learned, {prompt.kind for prompt in prompts})
        return await lessons.led(prompts)


async def run(
    data: Path, scenario: Scenario, lesson: Lesson, sizes: Sizes, certificate: Path,
    times: StepTimes, output: Output,
) -> tuple[list[Row], int, Examined]:  # fmt: skip
    """Return all rows, where strictness settled, and what was judged; raises TiercelError."""
    certifying, prompts = prompts_of(data, scenario, sizes)
    learned = await certified(lesson, certifying, sizes.tokens, certificate, output)
    wrong = wrong_at_first(scenario, lesson)
    steps = await led(wrong, prompts, learned, scenario, sizes.tokens, output)
    in_force = [strictness_of(step.answer) for step in steps]
    # What never settles is judged over its second half.
    settled = 0 if scenario is Scenario.SHIFT else min(settled_at(in_force), len(steps) // 2)
    grid = sorted({0.95, *lesson.levels, 0.5}, reverse=True)
    found = await examined(lesson, steps, settled, grid, sizes.judged, sizes.tokens, times, output)
    return [learned_row(step, found.times) for step in steps], settled, found


def result_of(
    rows: Sequence[Row], settled: int, found: Examined, seed: int
) -> tuple[dict[str, Any], Comparison]:
    """Return what is written, and the comparison with the best fixed strictness."""
    comparison = compared(found.led, found.fixed, seed=seed)
    summary = {"led": found.led, **{f"{one:g}": each for one, each in found.fixed.items()}}
    content = {
        "num_transient": settled,
        "transient": _summary(found.transient) if found.transient else None,
        "judged": {name: _summary(one) for name, one in summary.items()},
        "comparison": asdict(comparison),
        "verdict": comparison.verdict,
        "num_audits": audits_of(rows)[0],
        "num_harmed": audits_of(rows)[1],
        "rows": [asdict(one) for one in rows],
    }
    return content, comparison


def _summary(judged: Judged) -> dict[str, Any]:
    return {
        "goodput": judged.goodput,
        "acceptance": judged.acceptance,
        "divergence": judged.divergence,
        "harm": asdict(judged.harm),
    }


def _show(output: Output, found: Examined, settled: int, rows: Sequence[Row], verdict: str) -> None:
    fixed = {f"at {one:g}": judged for one, judged in found.fixed.items()}
    early = {"led, transient": found.transient} if found.transient else {}
    everyone: Mapping[str, Judged] = {**early, "led": found.led, **fixed}
    columns = ("strictness", ">goodput, tokens/s", ">accepted", ">divergent", ">harmed", ">answers")
    table = [
        (name, f"{one.goodput:.1f}", f"{one.acceptance:.3f}", f"{one.divergence:.3f}",
         _told(one.harm), str(len(one.rows)))
        for name, one in everyone.items()
    ]  # fmt: skip
    output.table("priced by counts times step times [95 % interval]", columns, table)
    output.line(f"settled after {settled} answers, at {rows[-1].strictness:.3f} in the end")
    audits, harmed = audits_of(rows)
    output.line(f"audits: {harmed} of {audits} harmed")
    output.line(f"led / best fixed of no more harm: {verdict}")


def _told(one: Estimate) -> str:
    return f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]"


def main(
    data: Annotated[Path, typer.Argument(exists=True, help="Folder of JSONL files.")],
    scenario: Annotated[Scenario, typer.Option(help="How it begins.")] = Scenario.LENIENT,
    out: Annotated[Path, typer.Option(help="Everything, as JSON.")] = Path("strictness.json"),
    figures: Annotated[Path | None, typer.Option(help="Folder of the picture.")] = None,
    certificate: Annotated[Path, typer.Option(help="What audits certified; made once.")] = Path(
        "certificate.jsonl"
    ),
    outcomes: Annotated[Path, typer.Option(exists=True, help="Has step_times.json.")] = Path(
        "outcomes"
    ),
    pair: Annotated[str, typer.Option(help=f"{', '.join(PAIRS)}.")] = Lesson.pair,
    rule: Annotated[Rule, typer.Option(help="A lossy one.")] = Lesson.rule,
    max_harm: Annotated[float, typer.Option(help="Share of harmed answers.")] = Lesson.max_harm,
    delta: Annotated[float, typer.Option(help="Nats per token that are harm.")] = Lesson.delta,
    level_audits: Annotated[int, typer.Option(help="Audits of a level.")] = Lesson.audits_per_level,
    gain: Annotated[float, typer.Option(help="Strictness a unit of divergence.")] = Lesson.gain,
    first: Annotated[float | None, typer.Option(help="Where it begins, if elsewhere.")] = None,
    answers: Annotated[int, typer.Option(min=40, help="While strictness is led.")] = Sizes.answers,
    judged: Annotated[int, typer.Option(min=4, help="Of them, at each strictness.")] = Sizes.judged,
    tokens: Annotated[int, typer.Option(min=8, help="Of an answer, at most.")] = Sizes.tokens,
    seed: Annotated[int, typer.Option(help="Of orders and replicates.")] = Sizes.seed,
    quick: Annotated[bool, typer.Option("--quick", help="A slice; certifies nearly all.")] = False,
) -> None:
    """Certify, lead, examine, compare; print the table and the verdict, draw the picture."""
    lesson = Lesson(
        pair,
        rule,
        max_harm=max_harm,
        delta=delta,
        audits_per_level=level_audits,
        gain=gain,
        first=first,
    )
    sizes, output = Sizes(answers, judged, tokens, seed), Output()
    if quick:
        lesson = replace(lesson, levels=(0.8, 0.5), max_harm=0.6, audits_per_level=6)
        sizes = replace(sizes, answers=40, judged=6, tokens=32)
    with tell_failures():
        times = StepTimes.load(outcomes / STEP_TIMES_FILE)
        work = run(data, scenario, lesson, sizes, certificate, times, output)
        rows, settled, found = asyncio.run(work)
    content, comparison = result_of(rows, settled, found, sizes.seed)
    about = {"scenario": scenario.value, "lesson": asdict(lesson), "sizes": asdict(sizes)}
    whole = {**surroundings(), **about, **content}
    out.write_text(json.dumps(whole, indent=1, default=str) + "\n")
    _show(output, found, settled, rows, comparison.verdict)
    if figures is not None:
        figures.mkdir(parents=True, exist_ok=True)
        draw_learning(rows, settled, figures / f"live-strictness-{scenario.value}.png")


if __name__ == "__main__":
    typer.run(main)
