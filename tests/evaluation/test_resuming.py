"""A run may end anyhow: the next one goes on, and takes only its own cells for its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evaluation.conftest import NUM_QUESTIONS, data_folder, questions
from tests.evaluation.runs import assert_equal, cells_of, collect, counter
from tiercel.errors import InvalidRequest
from tiercel.evaluation.matrix import only_run


def test_a_killed_run_goes_on_where_it_was(ladder: Path, data: Path, whole: Path, tmp_path: Path):
    num_outcomes = 200
    command = [sys.executable, "-m", "tests.evaluation.runs", str(ladder), str(data)]
    cache = str(ladder.parent / "cache")
    killed = subprocess.run(
        [*command, str(tmp_path), str(num_outcomes)],
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"TIERCEL_CACHE": cache},
    )
    assert killed.returncode == -signal.SIGKILL
    again = 0

    def progress(count: int) -> None:
        nonlocal again
        again += count

    collect(ladder, data, tmp_path, progress=progress)
    assert_equal(tmp_path, whole)
    # At most sixteen outcomes were not written yet, and none of the others is asked again.
    assert len(cells_of(whole)) - num_outcomes <= again < len(cells_of(whole)) - num_outcomes + 16


def test_what_is_answered_when_a_run_is_interrupted_is_kept(
    ladder: Path, data: Path, whole: Path, tmp_path: Path
):
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(ladder, data, tmp_path, progress=counter(23, interrupt))
    assert len(cells_of(tmp_path)) == 23
    collect(ladder, data, tmp_path)
    assert_equal(tmp_path, whole)


def test_when_time_is_up_no_prompt_is_begun_and_those_begun_are_ended(
    ladder: Path, data: Path, tmp_path: Path
):
    told: list[int] = []
    collect(ladder, data, tmp_path, progress=told.append, is_over=lambda: len(told) >= 10)
    assert 10 <= len(cells_of(tmp_path)) == len(told) <= 10 + 4  # the pass's other sequences


def test_a_finished_matrix_is_not_asked_again(ladder: Path, data: Path, whole: Path):
    def refuse(count: int) -> None:
        raise AssertionError("an outcome was collected twice")

    collect(ladder, data, whole, progress=refuse)


def test_other_data_are_refused(ladder: Path, data: Path, whole: Path, tmp_path: Path):
    changed = data_folder(tmp_path / "data", nq_open_dev=questions(NUM_QUESTIONS + 1))
    with pytest.raises(InvalidRequest, match="data_digest"):
        collect(ladder, changed, whole)


def test_another_model_under_the_same_name_is_refused(ladder: Path, data: Path, tmp_path: Path):
    collect(ladder, data, tmp_path / "out", columns=["small"], limit=1)
    text = ladder.read_text()
    swapped = tmp_path / "swapped.toml"
    swapped.write_text(
        text.replace("[tiers.small]", "[tiers.x]")
        .replace("large", "small")
        .replace("[tiers.x]", "[tiers.large]")
    )
    with pytest.raises(InvalidRequest, match="tiers"):
        collect(swapped, data, tmp_path / "out", columns=["small"], limit=2)


def test_two_runs_do_not_share_a_folder(ladder: Path, data: Path, tmp_path: Path):
    with only_run(tmp_path), pytest.raises(InvalidRequest, match="another run"):
        only_run(tmp_path)
