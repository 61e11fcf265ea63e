"""Draws what the benchmarks wrote, as PNG.

python -m bench.plots --peers peers.json --concurrency clients.json --out docs/figures
"""

import json
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import numpy as np
import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.concurrency.measurement import Sample
from bench.concurrency.summary import Summary

matplotlib.use("Agg")
OURS = "tiercel int4 <- suffix:8"


def draw_ratios(results: dict[str, Any], ours: str, path: Path) -> None:
    """Draw how many times as fast `ours` is as every other system, with 95 % intervals."""
    rows = [one for one in results["ratios"] if one["ours"] == ours and one["task"] is None]
    rows.sort(key=lambda one: one["whole"]["mean"])
    means = np.array([one["whole"]["mean"] for one in rows])
    ends = np.array([[one["whole"]["low"], one["whole"]["high"]] for one in rows]).T
    figure = Figure(figsize=(8, 0.4 * len(rows) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    axes.barh([one["other"] for one in rows], means, color="#4c78a8")
    axes.errorbar(means, range(len(rows)), xerr=np.abs(ends - means), fmt="none", ecolor="#333333")
    axes.axvline(1, color="#888888", linewidth=1)
    axes.set_xlabel(f"times as fast: {ours}, whole answers")
    _save(figure, axes, path)


def draw_clients(results: dict[str, Any], path: Path) -> None:
    """Draw tokens a second of all clients together against their number."""
    summary = Summary(Sample(**one) for one in results["samples"])
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name in summary.systems:
        rates = [summary.of(name, size).tokens_per_s for size in summary.sizes]
        spreads = np.array([summary.spread(name, size) for size in summary.sizes]).T
        axes.errorbar(summary.sizes, rates, yerr=np.abs(spreads - rates), label=name, capsize=3)
    axes.set_xscale("log", base=2)
    axes.set_xticks(summary.sizes, [str(size) for size in summary.sizes])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("clients at once")
    axes.set_ylabel("tokens a second, all together")
    axes.legend()
    _save(figure, axes, path)


def _save(figure: Figure, axes: Axes, path: Path) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main(
    out: Annotated[Path, typer.Option(help="The folder of the pictures.")],
    peers: Annotated[Path | None, typer.Option(exists=True, help="Of bench.peers.")] = None,
    concurrency: Annotated[
        Path | None, typer.Option(exists=True, help="Of bench.concurrency.")
    ] = None,
    ours: Annotated[str, typer.Option(help="The system that is set over the others.")] = OURS,
) -> None:
    """Draw a picture for each file."""
    out.mkdir(parents=True, exist_ok=True)
    if peers:
        draw_ratios(json.loads(peers.read_text()), ours, out / "peers.png")
    if concurrency:
        draw_clients(json.loads(concurrency.read_text()), out / "clients.png")


if __name__ == "__main__":
    typer.run(main)
