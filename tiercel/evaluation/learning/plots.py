"""Draws a replay: regret over requests, utility after a change, harm over time."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tiercel.evaluation.figure_files import save_figures
from tiercel.evaluation.learning.experiment import AUDITED, GOAL, Drawn
from tiercel.evaluation.learning.measures import CLOSE, WINDOW
from tiercel.evaluation.learning.replay import ALL
from tiercel.evaluation.learning.scenarios import Curves

_CHANGES = ("quality drop", "price rises", "price falls")
_BEFORE = 200  # requests before a change that are shown
_AFTER = 1200


def draw(drawn: Drawn, folder: Path, prefix: str) -> list[Path]:
    """Write the figures as PNG, and return their paths."""
    drawings: dict[str, Callable[[Drawn], Figure]] = {
        "regret": regret,
        "changes": changes,
        "harm": harm,
    }
    return save_figures(drawings, drawn, folder, prefix, dpi=100)


def regret(drawn: Drawn) -> Figure:
    """Draw cumulative regret over the best static plan, steady and with a drop of quality."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for place, scenario in enumerate(("steady", _CHANGES[0]), 1):
        axes = _panel(figure, 1, 2, place)
        for name, one in _of(drawn, scenario):
            (line,) = axes.plot(one.regret[0], linewidth=1.3, label=name)
            requests = np.arange(one.regret.shape[1])
            axes.fill_between(
                requests, one.regret[1], one.regret[2], color=line.get_color(), alpha=0.15
            )
        axes.set_title(scenario if scenario == "steady" else f"{scenario} (synthetic)", fontsize=9)
        axes.set_xlabel("requests")
        axes.set_ylabel("regret over the best static plan" if place == 1 else "")
    figure.axes[0].legend(fontsize=7)
    return figure


def changes(drawn: Drawn) -> Figure:
    """Draw utility around each change; below the band it is not within 5 % of the best policy."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for place, scenario in enumerate(_CHANGES, 1):
        axes = _panel(figure, 1, len(_CHANGES), place)
        start = max(0, drawn.change_at - _BEFORE)
        best = None
        for name, one in _of(drawn, scenario):
            shown = slice(start, drawn.change_at + _AFTER)
            # A window is drawn at its end.
            requests = np.arange(len(one.utility))[shown] + WINDOW - drawn.change_at
            axes.plot(requests, one.utility[shown], linewidth=1.2, label=name)
            best = one.best[shown]
        if best is not None:
            axes.fill_between(
                requests, (1 - CLOSE) * best, best, color="#999999", alpha=0.4, label="the best"
            )
        axes.axvline(GOAL, color="#333333", linewidth=0.8, linestyle=":")
        axes.set_title(f"{scenario} (synthetic)", fontsize=9)
        axes.set_xlabel("requests after the change")
    figure.axes[0].set_ylabel(f"mean utility over {WINDOW} requests")
    lines, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, names, fontsize=7, loc="outside lower center", ncols=len(names))
    return figure


def harm(drawn: Drawn) -> Figure:
    """Draw the share of runs whose true harm is at most epsilon, and the mean harm."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    share_axes, harm_axes = _panel(figure, 1, 2, 1), _panel(figure, 1, 2, 2)
    shown = [one for one in drawn.harm if one[0].running_share == AUDITED[-1][0]]
    latest = max(found.drift_at for found, _ in shown)
    for found, one in shown:
        if found.drift_at == latest:
            share_axes.plot(one.requests, one.within, linewidth=1.2, label=found.curve)
            harm_axes.plot(one.requests, one.harm, linewidth=1.2)
    for axes, label in ((share_axes, "share of runs within epsilon"), (harm_axes, "mean harm")):
        axes.axvline(latest, color="#333333", linewidth=0.8, linestyle=":")
        axes.set_xlabel("requests")
        axes.set_ylabel(label)
    share_axes.set_ylim(0, 1.03)
    share_axes.legend(fontsize=7, loc="lower left")
    return figure


def _of(drawn: Drawn, scenario: str) -> list[tuple[str, Curves]]:
    return [
        (learner, one)
        for (where, feedback, learner), one in drawn.curves.items()
        if where == scenario and feedback == ALL.name
    ]


def _panel(figure: Figure, rows: int, columns: int, place: int) -> Axes:
    axes = figure.add_subplot(rows, columns, place)
    axes.spines[["top", "right"]].set_visible(False)
    return axes
