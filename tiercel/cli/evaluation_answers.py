"""`tiercel eval answers`: what a column says to prompts of training data, as rows to learn from."""

from pathlib import Path
from typing import Annotated

import typer

from tiercel.cli.distill_options import ThreadsOption, give_way, progress_bar
from tiercel.cli.evaluation_tiers import SpecialistsOption
from tiercel.cli.output import Output
from tiercel.cli.running import tell_failures
from tiercel.cli.up import ConfigOption


def answers(
    data: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="JSONL prompts to ask.")],
    asked_as: Annotated[str, typer.Option(help="The set, or `instructions`, that is asked so.")],
    column: Annotated[str, typer.Option(help="What answers, as `tier; temperature=0.7`.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="JSONL file of the answers.")],
    leave_out: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Rows of an evaluation: not asked."),
    ] = None,
    right: Annotated[
        bool, typer.Option("--right", help="Keep only answers that are scored as right.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Prompts to ask.")] = None,
    config: ConfigOption = None,
    specialists: SpecialistsOption = None,
    batch: Annotated[int, typer.Option(min=1, help="Sequences in a pass.")] = 16,
    threads: ThreadsOption = 1,
) -> None:
    """Write what a column answers; `tiercel specialise --task instructions` learns from it.

    Goes on where an earlier run stopped. Answers that were cut off are no lessons.
    """
    from tiercel.evaluation.column import parse_column
    from tiercel.evaluation.columns_on_tiers import ColumnOpener
    from tiercel.evaluation.lessons import LessonFile, check_asked, write_lessons
    from tiercel.evaluation.specialists import with_specialists
    from tiercel.specialisation.tasks import task_named

    give_way()
    output = Output()
    with tell_failures(), progress_bar(output) as bar:
        task, asked = task_named(asked_as), parse_column(column)
        check_asked(task.asked_as, only_right=right)
        items = task.items(data, leave_out)[:limit]
        configuration, ladder = with_specialists(config, specialists)
        opener = ColumnOpener(
            configuration, batch=batch, threads=threads, ladder=ladder, keeps_evidence=False
        )
        file = LessonFile(out)
        row = bar.add_task("asking", total=len(items) - len(file.done))
        opened = opener.open(asked)
        dropped = write_lessons(
            file,
            task.asked_as,
            items,
            asked,
            opened,
            only_right=right,
            progress=lambda count: bar.advance(row, count),
        )
        opener.close()
    wrong = f", {dropped.wrong} were wrong" if right else ""
    output.note(f"{len(file.done)} answers in {out}; {dropped.cut} were cut off{wrong}")
