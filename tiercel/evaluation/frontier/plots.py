"""Draws a report: the frontier, reliability, where prompts are sent, where that wins and loses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tiercel.evaluation.figure_files import save_figures
from tiercel.evaluation.frontier.contenders import (
    BANDIT,
    NEIGHBOURS,
    ORACLE,
    RIDGE,
    STATIC,
    UTILITY,
)
from tiercel.evaluation.frontier.experiment import Report
from tiercel.evaluation.frontier.figures import ContenderFigures, names_of
from tiercel.evaluation.frontier.hull import upper_hulls

_DRAWN = (STATIC, BANDIT, NEIGHBOURS, RIDGE, UTILITY, ORACLE)
_MOST_PLACES = 10


def draw(report: Report, folder: Path, prefix: str) -> list[Path]:
    """Write the report's figures as PNG, and return their paths."""
    drawings: dict[str, Callable[[Report], Figure]] = {
        "frontier": frontier,
        "reliability": reliability,
        "shares": shares,
        "places": where,
    }
    return save_figures(drawings, report, folder, prefix, dpi=110)


def frontier(report: Report) -> Figure:
    """Draw quality against cost: points, hulls, and the best other contender."""
    figure, axes = _axes(7, 4.6)
    best = [name for name in names_of(report.everything) if name not in _DRAWN][:1]
    for name in (*_DRAWN, *best):
        _line(axes, report.everything.of(name))
    axes.set_xlabel(f"mean cost, {report.cost_unit}")
    axes.set_ylabel("mean score")
    axes.legend(fontsize=8)
    return figure


def reliability(report: Report) -> Figure:
    """Draw what became of predictions, in bins of equal mass."""
    figure, axes = _axes(5.5, 4.6)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    for one in report.predictions[:1]:
        for plan in one.plans:
            predicted = [each.predicted for each in plan.bins]
            observed = [each.observed for each in plan.bins]
            axes.plot(predicted, observed, marker="o", markersize=3, label=plan.plan)
    axes.set_xlabel("predicted score, from the text")
    axes.set_ylabel("mean score")
    axes.legend(fontsize=8)
    return figure


def shares(report: Report) -> Figure:
    """Draw each plan's share of each kind at the middle operating cost."""
    middle = report.shares[len(report.shares) // 2]
    kinds = list(middle.by_kind)
    figure, axes = _axes(7, 0.35 * len(kinds) + 1.4)
    left = np.zeros(len(kinds))
    for plan in (one.name for one in report.plans):
        values = np.array([middle.by_kind[kind].get(plan, 0.0) for kind in kinds])
        axes.barh(kinds, values, left=left, label=plan)
        left += values
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"share of the prompts, at a mean cost of {middle.cost:.3g}")
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=3)
    return figure


def where(report: Report) -> Figure:
    """Draw the strata with the greatest gains and losses against static plans of equal cost."""
    found = list(report.places)
    if len(found) > 2 * _MOST_PLACES:
        found = [*found[:_MOST_PLACES], *found[-_MOST_PLACES:]]
    figure, axes = _axes(7, 0.28 * len(found) + 1.2)
    gains = [place.quality_gain for place in reversed(found)]
    names = [f"{place.stratum} ({place.num_prompts})" for place in reversed(found)]
    axes.barh(names, gains, color=["#4c78a8" if gain > 0 else "#e45756" for gain in gains])
    axes.axvline(0, color="#333333", linewidth=1)
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlabel("score over static plans of the same mean cost")
    return figure


def _line(axes: Axes, one: ContenderFigures) -> None:
    costs, qualities = np.array(one.costs), np.array(one.qualities)
    hull = upper_hulls(costs[None, :], qualities[None, :])
    style = {STATIC: "--", ORACLE: ":"}.get(one.name, "-")
    (line,) = axes.plot(hull.costs[0], hull.qualities[0], style, label=one.name, linewidth=1.4)
    axes.plot(costs, qualities, "o", markersize=2.5, color=line.get_color())


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
