"""How good ratings say that each root's answers are: fading sums, drawn to those of all kinds."""

from collections.abc import Mapping

from services.feedback.cells import ALL_KINDS, Cell, Sums
from tiercel.evaluation.statistics import wilson
from tiercel.learning import RootQuality

# Ratings that the mean over all kinds counts for in that of one, and 0.5 in that of all.
_PRIOR = 4.0


def root_qualities(cells: Mapping[Cell, Sums]) -> tuple[RootQuality, ...]:
    """Return the expected score of each root and kind that was rated, with an interval.

    The mean is that of a Beta prior with _PRIOR ratings; the interval is Wilson's over the weight
    of all ratings, which is conservative for scores between 0 and 1.
    """
    found = []
    for cell, sums in cells.items():
        if cell.subject[0] == "quality" and sums.get("ratings", 0.0) > 0:
            whole = cells.get(Cell(cell.subject), {}) if cell.kind != ALL_KINDS else {}
            found.append(_quality(cell, sums, _mean(whole, 0.5)))
    return tuple(sorted(found, key=lambda one: (one.root, one.kind)))


def _quality(cell: Cell, sums: Sums, prior: float) -> RootQuality:
    mean, number = _mean(sums, prior), sums["ratings"]
    lower, upper = wilson(mean, number + _PRIOR)
    predicted = sums.get("predicted", 0.0)
    return RootQuality(
        root=cell.subject[1],
        kind=cell.kind,
        mean=mean,
        lower=lower,
        upper=upper,
        num_ratings=number,
        num_predicted=predicted,
        excess=_excess(sums, predicted),
    )


def _excess(sums: Sums, predicted: float) -> float:
    """Return by how much scores were higher than predicted, on average."""
    if predicted <= 0:
        return 0.0
    return max(-1.0, min(1.0, (sums["predicted_score"] - sums["expected"]) / predicted))


def _mean(sums: Sums, prior: float) -> float:
    number = sums.get("ratings", 0.0)
    return min(1.0, (sums.get("score", 0.0) + _PRIOR * prior) / (number + _PRIOR))
