"""Prompts that nobody trained on, through running services: do policies win what replays say?

    python -m bench.live.plans DATA --answers answers.jsonl --out plans.json [--limit 200] [--quick]

`utility` and `cascade` and every static plan of the ladder answer further prompts of the matrix's
sets, one request at a time. Answers are scored as the matrix's are; a cost is counts times the step
times of an idle machine, and wall seconds stand beside it. The router has the quality predictor
that ships (or --quality) and a stopping policy fitted to the whole matrix at the weight. Then the
same policies are replayed on the matrix, cross-fitted, and held against the live figures: a policy
against its replayed curve at the live cost. The replayed cascade always begins at the cheapest
plan, the live one where it is worth most; both look after 32 tokens.

Answers are kept as they come: the same command goes on where a run ended. `--replay-only` asks
nothing.
"""

import asyncio
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer

from bench.live.answers_file import AnswersFile
from bench.live.asking_plans import Examination, arms_of
from bench.live.figures import draw_plans
from bench.live.holding import Holding, Measured, held
from bench.live.ladder_services import Ladder, fit_stopping
from bench.live.replayed import CASCADE, replayed, table_of
from bench.live.surroundings import surroundings
from bench.live.unseen import Question, scored_sets, unseen
from tiercel.cli.output import Output
from tiercel.cli.private_fleet import private_deployment, running
from tiercel.cli.running import tell_failures
from tiercel.clients.router import Request, RouterClient
from tiercel.errors import InvalidRequest
from tiercel.evaluation.frontier.contenders import UTILITY
from tiercel.evaluation.frontier.provenance import provenance
from tiercel.evaluation.matrix import Cells, read_matrix
from tiercel.evaluation.statistics import Estimate, estimate
from tiercel.evaluation.step_cost import STEP_TIMES_FILE, StepTimes
from tiercel.prediction.quality import SHIPPED

POLICIES = ("utility", "cascade")


@dataclass(frozen=True)
class Trial:
    """What is asked of whom."""

    data: Path
    outcomes: Path
    ladder: Ladder
    quality: Path
    cost_weight: float
    seed: int

    def cells(self) -> list[Cells]:
        """Return the matrix; raises InvalidRequest."""
        return read_matrix(self.outcomes)

    @property
    def times(self) -> StepTimes:
        """What steps take on an idle machine; raises InvalidRequest."""
        return StepTimes.load(self.outcomes / STEP_TIMES_FILE)

    @property
    def arms(self) -> dict[str, Request]:
        """Static plans, then policies."""
        return arms_of(self.ladder.names, POLICIES, self.cost_weight)

    @property
    def curves(self) -> dict[str, str]:
        """The replayed arm of each policy's arm."""
        names = dict(zip(POLICIES, (UTILITY, CASCADE), strict=True))
        return {f"{name} at {self.cost_weight:g}": curve for name, curve in names.items()}


async def examine(
    trial: Trial, questions: Sequence[Question], answers: AnswersFile, output: Output
) -> None:
    """Have every arm answer every question through services of their own."""
    sets = sorted({question.set.name for question in questions})
    with TemporaryDirectory() as folder:
        stopping, config = Path(folder) / "stopping.json", Path(folder) / "ladder.toml"
        fit_stopping(trial.cells(), trial.ladder, sets, trial.times, trial.cost_weight, stopping)
        settings = {"quality": str(trial.quality), "stopping": str(stopping)}
        config.write_text(trial.ladder.written(settings), encoding="utf-8")
        with private_deployment(config, output) as deployment:
            async with running(deployment, output), RouterClient(deployment.router) as client:
                examination = Examination(
                    client=client,
                    arms=trial.arms,
                    tokenizers=trial.ladder.tokenizers(),
                    times=trial.times,
                    answers=answers,
                    commit=provenance().git_sha,
                    seed=trial.seed,
                    told=output.note,
                )
                await examination.warm_up(questions[0])
                await examination.run(questions)


def live_of(answers: AnswersFile, questions: Sequence[Question], arms: Sequence[str]) -> Measured:
    """Return the questions that every arm answered; raises InvalidRequest if there is none."""
    keys = [(question.set.name, question.item.id) for question in questions]
    whole = [key for key in keys if all((*key, arm) in answers.rows for arm in arms)]
    if not whole:
        raise InvalidRequest("answers", "", "hold no prompt that every arm answered")

    def column(arm: str, field: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return np.array([[getattr(answers.rows[(*key, arm)], field)] for key in whole], float)

    return Measured(
        [name for name, _ in whole],
        {arm: column(arm, "quality") for arm in arms},
        {arm: column(arm, "cost_s") for arm in arms},
    )


def _wall_s(answers: AnswersFile, arms: Sequence[str]) -> dict[str, Estimate]:
    rows = answers.rows.values()
    return {arm: estimate([one.wall_s for one in rows if one.arm == arm]) for arm in arms}


def _show(
    output: Output, found: Sequence[Holding], wall: dict[str, Estimate], curves: Collection[str],
    count: int,
) -> None:  # fmt: skip
    columns = ("arm", ">quality", ">replayed", ">difference", ">cost s", ">replayed s",
               ">over static mixtures", ">replayed gain", ">wall s", "")  # fmt: skip
    rows = [
        (
            one.arm,
            *map(_told, (one.quality, one.replayed_quality, one.difference, one.cost)),
            *map(_told, (one.replayed_cost, one.gain, one.replayed_gain)),
            f"{wall[one.arm].mean:.2f}",
            one.verdict,
        )
        for one in found
    ]
    output.table(f"{count} further prompts [95 % interval]", columns, rows)
    failed = [one.arm for one in found if one.arm in curves and one.difference.high < 0]
    where = f"does not hold for {', '.join(failed)}" if failed else "holds within its interval"
    output.line(f"the replayed frontier {where}")


def _told(one: Estimate) -> str:
    return f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _concluded(
    trial: Trial, answers: AnswersFile, questions: Sequence[Question], out: Path, output: Output
) -> list[Holding]:
    live = live_of(answers, questions, [*trial.arms])
    table = table_of(trial.cells(), trial.ladder.names, trial.data, trial.times)
    replay = replayed(table, seed=trial.seed, told=output.note)
    found = held(live, replay, trial.curves, seed=trial.seed)
    wall = _wall_s(answers, [*trial.arms])
    content = {
        **surroundings(),
        "seed": trial.seed,
        "cost_weight": trial.cost_weight,
        "num_prompts": len(live.sets),
        "num_replayed": len(table),
        "arms": [{**asdict(one), "verdict": one.verdict} for one in found],
        "wall_s": {arm: asdict(one) for arm, one in wall.items()},
    }
    out.write_text(json.dumps(content, indent=1) + "\n")
    _show(output, found, wall, trial.curves, len(live.sets))
    return found


def main(
    data: Annotated[Path, typer.Argument(exists=True, help="Folder of the sets' JSONL files.")],
    answers: Annotated[Path, typer.Option(help="JSON lines; goes on with what is there.")] = Path(
        "answers.jsonl"
    ),
    out: Annotated[Path, typer.Option(help="The figures, as JSON.")] = Path("plans.json"),
    figures: Annotated[Path | None, typer.Option(help="Folder of the picture.")] = None,
    outcomes: Annotated[Path, typer.Option(exists=True, help="The matrix.")] = Path("outcomes"),
    config: Annotated[
        Path | None, typer.Option(exists=True, help="The ladder; else ladder.toml of the matrix.")
    ] = None,
    quality: Annotated[
        Path, typer.Option(exists=True, help="Folder of the quality predictor.")
    ] = SHIPPED,
    cost_weight: Annotated[float, typer.Option(min=0, help="Quality a second is worth.")] = 0.05,
    limit: Annotated[int, typer.Option(min=1, help="Prompts.")] = 200,
    seed: Annotated[int, typer.Option(help="Of orders, folds and replicates.")] = 0,
    replay_only: Annotated[bool, typer.Option("--replay-only", help="Ask nothing.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="A slice: 8 prompts.")] = False,
) -> None:
    """Ask, score, replay, compare; print the table and whether the frontier holds."""
    output = Output()
    with tell_failures():
        ladder = Ladder.load(config or outcomes / "ladder.toml")
        trial = Trial(data, outcomes, ladder, quality, cost_weight, seed)
        shares = scored_sets(trial.cells(), ladder.names)
        questions = unseen(data, trial.cells(), shares, 8 if quick else limit)
        kept = AnswersFile(answers)
        if not replay_only:
            asyncio.run(examine(trial, questions, kept, output))
        found = _concluded(trial, kept, questions, out, output)
    if figures is not None:
        figures.mkdir(parents=True, exist_ok=True)
        draw_plans(found, [*ladder.names], figures / "live-plans.png")


if __name__ == "__main__":
    typer.run(main)
