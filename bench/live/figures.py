"""The pictures of the live benchmarks."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.live.ratios import Result

matplotlib.use("Agg")


def draw_phases(results: Sequence[Result], arms: Sequence[str], path: Path) -> None:
    """Draw each arm's mean seconds a request, phase by phase, the first arm in a darker colour."""
    figure = Figure(figsize=(2.6 * len(results) + 1, 4), layout="constrained")
    axes = figure.add_subplot()
    places, width = np.arange(len(results)), 0.8 / len(arms)
    for number, arm in enumerate(arms):
        means = [one.mean_s[number] for one in results]
        colour = "#333333" if number == 0 else f"C{number - 1}"
        axes.bar(
            places + (number - len(arms) / 2 + 0.5) * width, means, width, label=arm, color=colour
        )
    axes.set_xticks(places, [one.name for one in results])
    axes.set_ylabel("mean seconds a request")
    axes.legend(fontsize="small", ncols=2)
    save(figure, [axes], path)


def save(figure: Figure, all_axes: Sequence[Axes], path: Path) -> None:
    """Write a figure without the frames that say nothing."""
    for axes in all_axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
