"""The entry point of `tiercel` and of `python -m tiercel.cli`."""

import typer

from tiercel.cli.agreement import agreement
from tiercel.cli.bench.command import bench
from tiercel.cli.chat import chat
from tiercel.cli.demo import demo
from tiercel.cli.distill import app as distill
from tiercel.cli.evaluation import app as evaluation
from tiercel.cli.feedback import app as feedback
from tiercel.cli.generate import generate
from tiercel.cli.inspection import route, tiers
from tiercel.cli.merge import merge
from tiercel.cli.plan import plan
from tiercel.cli.rate import rate
from tiercel.cli.score import score
from tiercel.cli.specialise import specialise
from tiercel.cli.train import app as train
from tiercel.cli.up import up

app = typer.Typer(
    name="tiercel",
    help="Several language models answer together: small tiers draft, larger tiers verify.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    up,
    generate,
    chat,
    route,
    tiers,
    plan,
    rate,
    score,
    agreement,
    bench,
    specialise,
    merge,
    demo,
):
    app.command()(command)
app.add_typer(train, name="train")
app.add_typer(distill, name="distill")
app.add_typer(evaluation, name="eval")
app.add_typer(feedback, name="feedback")


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
