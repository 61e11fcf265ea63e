"""`tiercel train policies`: from the outcome matrix to the policies that learn from scores."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiercel.cli.output import Output
from tiercel.cli.running import tell_failures

if TYPE_CHECKING:
    from tiercel.prediction.examples import Examples

PriceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--price", metavar="COLUMN=PRICE", help="What a token is worth in quality, for metallm."
    ),
]


def policies(
    *,
    data: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder of the sets' JSONL files.")
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the policies.")],
    outcomes: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of the outcome matrix.")
    ] = Path("outcomes"),
    plan: Annotated[
        list[str] | None, typer.Option("--plan", help="A column; several times. Without it: all.")
    ] = None,
    price: PriceOption = None,
) -> None:
    """Fit metallm, reward_argmax and knn on the outcome matrix."""
    # Not at the top: other commands start without the evaluation sets.
    from tiercel.evaluation.matrix import read_matrix
    from tiercel.prediction.quality.outcome_examples import read_examples

    output = Output()
    with tell_failures():
        prices = dict(map(_price, price or ()))
        examples = read_examples(read_matrix(outcomes), data, plans=plan).examples
        with output.working("fitting"):
            counts = _fitted(examples, prices, out)
    for name, number in counts.items():
        output.line(f"{name}: {number} prompts")
    output.line(f'in {out}; to use them: fitted_policies = "{out.resolve()}"')


def _fitted(examples: "Examples", prices: dict[str, float], out: Path) -> dict[str, int]:
    import numpy as np

    from tiercel.evaluation.column_answers import outline_of
    from tiercel.prediction.quality.featuriser import definition_hash
    from tiercel.routing.answers import answer_of
    from tiercel.routing.fitting import fit_policies

    named = {name: outline_of(name) for name in examples.plan_names}
    kept = [at for at, name in enumerate(examples.plan_names) if named[name] is not None]
    each = np.array([prices.get(name, 0.0) for name in examples.plan_names], np.float32)
    return fit_policies(
        examples.features,
        examples.scores[:, kept],
        np.nan_to_num(examples.num_tokens * each)[:, kept],
        [answer_of(outline.plan()) for outline in named.values() if outline is not None],
        out,
        features_definition=definition_hash(),
    )


def _price(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        return name, float(number)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not COLUMN=PRICE") from None
