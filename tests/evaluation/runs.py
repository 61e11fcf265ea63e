"""Runs of the collector on tiny models; as a program, one that kills itself in the middle."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from tiercel.evaluation.collector import Collector
from tiercel.evaluation.column import parse_column
from tiercel.evaluation.columns_on_tiers import ColumnOpener
from tiercel.evaluation.matrix import read_matrix
from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.pilot import Pilot, SetVerdict, write_pilot
from tiercel.evaluation.schedule import Work
from tiercel.evaluation.sets import SETS
from tiercel.tiers import load

COLUMNS = ("small", "small; temperature=0.7", "large")


def collect(
    config: Path,
    data: Path,
    out: Path,
    *,
    columns: Sequence[str] = COLUMNS,
    batch: int = 4,
    num_samples: int = 2,
    limit: int | None = None,
    progress: Callable[[int], None] = lambda count: None,
    is_over: Callable[[], bool] = lambda: False,
) -> Pilot:
    """Collect all that the data folder asks for; questions are cut by no pilot."""
    spare(out)
    configuration = load(config)
    sets = [each for name, each in SETS.items() if (data / f"{name}.jsonl").exists()]
    work = Work(
        columns=[parse_column(text) for text in columns],
        sets=sets,
        items={each.name: each.read(data) for each in sets},
        num_samples=num_samples,
        limit=limit,
    )
    opener = ColumnOpener(configuration, batch=batch, threads=1)
    collector = Collector(out, work, opener, progress=progress, is_over=is_over)
    try:
        pilot = collector.run_pilot(opener.ladder)
        collector.run(work.rounds(pilot))
    finally:
        opener.close()
    return pilot


def spare(out: Path) -> None:
    """Say that a pilot was run, and that the tiers differ on questions."""
    asked = SETS["nq_open_dev"]
    known = SetVerdict(set_digest=asked.digest, metric="f1", tiers={}, is_cut=False)
    out.mkdir(exist_ok=True)
    write_pilot(out, Pilot(sets={asked.name: known}))


def cells_of(out: Path) -> dict[tuple[str, str, str, int], Outcome]:
    """Return the outcomes of a matrix by column, set, prompt and sample."""
    return {
        (cells.manifest.column, cells.manifest.set_name, *one.cell): one
        for cells in read_matrix(out)
        for one in cells.outcomes
    }


def assert_equal(matrix: Path, other: Path) -> None:
    """Compare all that two matrices hold but the wall seconds."""
    cells, others = cells_of(matrix), cells_of(other)
    assert cells.keys() == others.keys()
    for cell, one in cells.items():
        for field in fields(one):
            if field.name != "seconds":
                value, expected = getattr(one, field.name), getattr(others[cell], field.name)
                assert np.array_equal(value, expected), (cell, field.name)


def counter(most: int, then: Callable[[], None]) -> Callable[[int], None]:
    """Return a progress that acts when so many outcomes are told."""
    told = 0

    def progress(count: int) -> None:
        nonlocal told
        told += count
        if told >= most:
            then()

    return progress


if __name__ == "__main__":
    config, data, out = map(Path, sys.argv[1:4])
    die = counter(int(sys.argv[4]), lambda: os.kill(os.getpid(), signal.SIGKILL))
    collect(config, data, out, progress=die)
