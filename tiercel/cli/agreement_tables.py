"""What `tiercel agreement` prints."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tiercel.cli.output import Output
from tiercel.cli.statistics import number

if TYPE_CHECKING:
    from tiercel.evaluation.agreement.pairs import PairLine
    from tiercel.evaluation.agreement.reliability import Curve
    from tiercel.evaluation.agreement.report import Report

_ALL = "all"
TIERS = ("tier", ">places", ">mean probability", ">entropy", ">margin")
PAIRS = ("pair", ">places", ">agreement", ">compared", ">SimScore")
COUNTS = ("kind", ">drafters that agree", ">places", ">target agrees")
POINTS = ("kind", ">forecast", ">observed", ">95 % from", ">to", ">cases")


def show(report: "Report", output: Output) -> None:
    """Write the report as tables."""
    tiers = [
        (
            one.tier,
            str(one.num_places),
            number(one.mean_prob, 3),
            number(one.mean_entropy, 3),
            number(one.mean_margin, 3),
        )
        for one in report.tiers
    ]
    told = f"{report.num_tokens} tokens of {report.num_answers} answers of {report.target}"
    output.table(f"how sure each tier is, over {told}", TIERS, tiers)
    output.table("top-1 agreement of tiers", _heads(report), _matrix(report))
    output.table("pairs", PAIRS, [_pair_row(pair) for pair in report.pairs])
    counts = [
        (
            one.kind or _ALL,
            str(one.num_agreeing),
            str(one.num_places),
            number(one.num_target_agrees / one.num_places, 3),
        )
        for one in report.counts
    ]
    output.table("the target where drafters agree", COUNTS, counts)
    least = f"at least {report.num_agreeing} drafters"
    output.table(f"P(target agrees) where {least} do", POINTS, _points(report.acceptance))
    for curve in report.acceptance:
        error = number(curve.error, 3)
        output.line(f"{curve.kind or _ALL}: calibration error {error} over {curve.count} places")
    if report.correctness:
        title = f"score of answers by the share on which {least} and the target agree"
        output.table(title, POINTS, _points(report.correctness))
    if report.rank_chance is not None:
        output.line(f"of a right and a wrong answer of one kind the right one was agreed on more:"
                    f" {number(report.rank_chance, 3)}")  # fmt: skip


def _heads(report: "Report") -> tuple[str, ...]:
    return ("tier", *(f">{one.tier}" for one in report.tiers))


def _matrix(report: "Report") -> list[tuple[str, ...]]:
    shares = {frozenset((pair.one, pair.other)): pair.agreement for pair in report.pairs}
    names = [one.tier for one in report.tiers]
    return [
        (row, *(number(shares.get(frozenset((row, column))), 3) for column in names))
        for row in names
    ]


def _pair_row(pair: "PairLine") -> tuple[str, ...]:
    return (
        f"{pair.one}, {pair.other}",
        str(pair.num_places),
        number(pair.agreement, 3),
        str(pair.num_compared),
        number(pair.similarity, 3),
    )


def _points(curves: "Iterable[Curve]") -> list[tuple[str, ...]]:
    return [
        (
            curve.kind or _ALL,
            *(number(one, 3) for one in (point.forecast, point.observed, point.low, point.high)),
            str(point.count),
        )
        for curve in curves
        for point in curve.points
    ]
