"""A set is judged as soon as all tiers of the ladder have its pilot, however the run goes on."""

from pathlib import Path

from typer.testing import CliRunner

from tests.evaluation.conftest import data_folder, questions
from tiercel.cli.__main__ import app
from tiercel.evaluation.collector import Collector
from tiercel.evaluation.columns_on_tiers import ColumnOpener
from tiercel.evaluation.pilot import PILOT_FILE, read_pilot
from tiercel.evaluation.schedule import Work
from tiercel.evaluation.sets import SETS
from tiercel.tiers import load


def test_a_verdict_needs_no_other_set(ladder: Path, tmp_path: Path):
    names = ("nq_open_dev", "nq_efficientqa_dev")
    data = data_folder(tmp_path / "data", **{name: questions(3) for name in names})
    sets = [SETS[name] for name in names]
    items = {each.name: each.read(data) for each in sets}
    opener = ColumnOpener(load(ladder), batch=1, threads=1)
    out, told = tmp_path / "out", list[int]()
    work = Work(opener.ladder, sets, items, num_samples=0)
    # Both sets on the first tier, then one set on the second.
    collector = Collector(
        out, work, opener, progress=told.append, is_over=lambda: sum(told) >= 3 * 3
    )
    assert list(collector.run_pilot(opener.ladder).sets) == ["nq_open_dev"]
    assert sum(told) == 9
    (out / PILOT_FILE).unlink()
    asked = ["--data", str(data), "--out", str(out), "--config", str(ladder)]
    asked += [part for name in names for part in ("--set", name)]
    done = CliRunner().invoke(app, ["eval", "judge", *asked])
    assert done.exit_code == 0, done.output
    assert list(read_pilot(out).sets) == ["nq_open_dev"]
    assert "nq_open_dev" in done.stdout and "nq_efficientqa_dev" not in done.stdout
    opener.close()
