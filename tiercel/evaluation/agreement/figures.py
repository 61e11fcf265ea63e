"""Pictures of agreement: the matrix of tiers, and the reliability curves."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tiercel.evaluation.agreement.pairs import PairLine
from tiercel.evaluation.agreement.reliability import Curve

matplotlib.use("Agg")
_ALL = "all kinds"


def draw_matrix(tiers: Sequence[str], pairs: Sequence[PairLine], path: Path) -> None:
    """Draw top-1 agreement of each two tiers; in brackets their SimScore where it is known."""
    shares = np.full((len(tiers), len(tiers)), np.nan)
    figure = Figure(figsize=(1.6 + 1.1 * len(tiers), 1.2 + 0.9 * len(tiers)), layout="constrained")
    axes = figure.subplots()
    for pair in pairs:
        first, second = tiers.index(pair.one), tiers.index(pair.other)
        if pair.agreement is None:
            continue
        shares[first, second] = shares[second, first] = pair.agreement
        alike = "" if pair.similarity is None else f"\n({pair.similarity:.2f})"
        dark = "white" if pair.agreement < 0.5 else "black"
        for row, column in ((first, second), (second, first)):
            text = f"{pair.agreement:.2f}{alike}"
            axes.text(column, row, text, ha="center", va="center", color=dark, fontsize=9)
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="viridis")
    axes.set_xticks(range(len(tiers)), tiers, rotation=30, ha="right")
    axes.set_yticks(range(len(tiers)), tiers)
    axes.set_title("top-1 agreement (SimScore)", fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.8)
    _save(figure, path)


def draw_reliability(acceptance: Sequence[Curve], correctness: Sequence[Curve], path: Path) -> None:
    """Draw P(target agrees) and, where scores are known, P(right) given how much was agreed on."""
    figure = Figure(figsize=(9.6, 4.2) if correctness else (5.2, 4.2), layout="constrained")
    panels = figure.subplots(1, 2 if correctness else 1, squeeze=False)[0]
    panels[0].plot([0, 1], [0, 1], color="0.7", linewidth=1, zorder=0)
    _draw(panels[0], acceptance)
    panels[0].set_xlabel("calibrated P(target agrees), from other answers")
    panels[0].set_ylabel("share in which the target agrees")
    if correctness:
        _draw(panels[1], correctness)
        panels[1].set_xlabel("share of the answer on which drafters and target agree")
        panels[1].set_ylabel("mean score of the answers")
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    """Write a picture; an SVG has the same bytes for the same figures."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tiercel"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw(axes: Axes, curves: Sequence[Curve]) -> None:
    for curve in curves:
        points = curve.points
        observed = np.array([point.observed for point in points])
        below = observed - [point.low for point in points]
        above = [point.high for point in points] - observed
        axes.errorbar(
            [point.forecast for point in points],
            observed,
            yerr=None if curve.kind else np.clip([below, above], 0, None),
            marker="o",
            markersize=4,
            linewidth=1.8 if not curve.kind else 1,
            capsize=2,
            label=f"{curve.kind or _ALL} ({curve.count})",
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    if curves:
        axes.legend(fontsize=8)
