"""`tiercel eval stories`: a tier judges pairs of answers that no reference can score."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiercel.cli.distill_options import DataOption, ThreadsOption, give_way
from tiercel.cli.evaluation_sheet import ComparedOption, MatrixOption, TextSetOption
from tiercel.cli.evaluation_tiers import SpecialistsOption
from tiercel.cli.output import Output
from tiercel.cli.running import tell_failures
from tiercel.cli.up import ConfigOption
from tiercel.errors import InvalidRequest

if TYPE_CHECKING:
    from tiercel.evaluation.judging.stories import Comparison

_HEAD = ("author", "against", ">prompts", ">wins", ">95 %", ">at equal length", ">alike", ">longer")


def stories(
    data: DataOption,
    judge: Annotated[str, typer.Option(help="The tier that judges: the largest.")],
    matrix: MatrixOption = Path("outcomes"),
    config: ConfigOption = None,
    specialists: SpecialistsOption = None,
    set_name: TextSetOption = "writingprompts",
    column: ComparedOption = None,
    trial: Annotated[
        str | None,
        typer.Option(help="Hold this author's texts in the data, as gpt-4, against the columns."),
    ] = None,
    words: Annotated[int, typer.Option(min=1, help="Of a text in a trial, at most.")] = 150,
    limit: Annotated[int | None, typer.Option(min=1, help="Prompts.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Sequences in a pass.")] = 4,
    threads: ThreadsOption = 1,
    json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Let a tier say which of two columns' answers is better, asked in both orders."""
    # Not at the top: other commands start without the engines.
    from tiercel.evaluation.generation import TierDecoder
    from tiercel.evaluation.judging.stories import compare_columns
    from tiercel.evaluation.judging.stories import trial as run_trial
    from tiercel.evaluation.judging.texts import answered
    from tiercel.evaluation.loaded_tiers import LoadedTiers
    from tiercel.evaluation.matrix import read_matrix
    from tiercel.evaluation.specialists import with_specialists

    give_way()
    output = Output()
    with tell_failures():
        configuration, _ = with_specialists(config, specialists)
        prompts = answered(read_matrix(matrix), configuration, data, set_name, column)[:limit]
        tiers = LoadedTiers(configuration, threads=threads)
        (tier,) = tiers.get([judge])
        decoder = TierDecoder(tier.name, tier.model, tier.tokenizer, batch)
        with output.working(f"{judge} judges"):
            found = (
                run_trial(decoder, prompts, trial, words)
                if trial
                else compare_columns(decoder, prompts)
            )
        tiers.close()
        if not found:
            raise InvalidRequest("trial" if trial else "column", trial or "", "nothing to compare")
        if json:
            output.json(found)
        else:
            output.table(f"{set_name} judged by {judge}", _HEAD, [_cells(one) for one in found])


def _cells(one: "Comparison") -> list[str]:
    wins = one.wins
    shares = (one.length.controlled, one.consistent, one.longer)
    texts = (f"{share:.3f}" for share in shares)
    interval = f"{wins.low:.3f} to {wins.high:.3f}"
    return [one.author, one.other, str(wins.count), f"{wins.mean:.3f}", interval, *texts]
