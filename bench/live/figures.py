"""The pictures of the live benchmarks."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.live.holding import Holding
from bench.live.ratios import Result
from bench.live.strictness_rows import Row

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


def draw_plans(found: Sequence[Holding], static: Sequence[str], path: Path) -> None:
    """Draw quality against cost: live with intervals, what was replayed as crosses.

    The line is what mixtures of the live static plans reach between their points.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for number, one in enumerate(found):
        cost, quality = one.cost, one.quality
        across = [[cost.mean - cost.low], [cost.high - cost.mean]]
        up = [[quality.mean - quality.low], [quality.high - quality.mean]]
        axes.errorbar(
            [cost.mean], [quality.mean], yerr=up, xerr=across,
            fmt="o", color=f"C{number}", capsize=3, label=one.arm,
        )  # fmt: skip
        crossed = [one.replayed_cost.mean], [one.replayed_quality.mean]
        axes.plot(*crossed, "x", color=f"C{number}")
    alone = sorted((one.cost.mean, one.quality.mean) for one in found if one.arm in static)
    axes.plot(*zip(*alone, strict=True), color="#888888", linewidth=1, zorder=0)
    axes.set_xlabel("seconds an answer, counts times step times")
    axes.set_ylabel("quality")
    axes.legend(fontsize="small")
    save(figure, [axes], path)


def draw_learning(rows: Sequence[Row], settled: int, path: Path) -> None:
    """Draw strictness, acceptance, tokens a second, divergence and audited harm, answer by answer.

    Shares and rates are over the last twenty answers; tokens a second are of priced work. The line
    is where strictness settled.
    """
    panels: dict[str, list[Sequence[float | None]]] = {
        "strictness": [[one.strictness for one in rows], [one.led for one in rows]],
        "acceptance": [_rolling(rows, "num_accepted", "num_judged")],
        "tokens/s": [_rolling(rows, "num_tokens", "cost_s")],
        "divergence": [
            _rolling(rows, "num_divergent", "num_compared"),
            [one.target_divergence for one in rows],
        ],
        "audited harm": [
            [one.num_harmed / one.num_audits if one.num_audits else 0.0 for one in rows],
            [one.harm_bound for one in rows],
        ],
    }
    figure = Figure(figsize=(8, 10), layout="constrained")
    all_axes = [figure.add_subplot(len(panels), 1, place + 1) for place in range(len(panels))]
    for axes, (name, curves) in zip(all_axes, panels.items(), strict=True):
        for curve, style in zip(curves, ("-", ":"), strict=False):
            axes.plot(np.array(curve, np.float64), style, color="#4c78a8")
        axes.axvline(settled, color="#888888", linewidth=1)
        axes.set_ylabel(name)
    all_axes[-1].set_xlabel("answers")
    save(figure, all_axes, path)


def _rolling(rows: Sequence[Row], above: str, below: str, window: int = 20) -> list[float]:
    """Return the ratio of two sums over the last answers; NaN where the lower one is 0."""
    found = []
    for end in range(1, len(rows) + 1):
        last = rows[max(0, end - window) : end]
        total = sum(getattr(one, below) for one in last)
        found.append(sum(getattr(one, above) for one in last) / total if total else float("nan"))
    return found


def save(figure: Figure, all_axes: Sequence[Axes], path: Path) -> None:
    """Write a figure without the frames that say nothing."""
    for axes in all_axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
