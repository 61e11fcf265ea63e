import subprocess
import sys
from pathlib import Path

import pytest

from tiercel.models.storage import cache_folder, stored

BUILD = """
import os, sys, time
from pathlib import Path
from tiercel.models.storage import stored

def build(folder):
    with open(sys.argv[2], "a") as log:
        log.write("built\\n")
    (folder / "first").write_text("1")
    time.sleep(0.2)
    (folder / "second").write_text("2")

folder = stored(Path(sys.argv[1]), build)
assert {path.name for path in folder.iterdir()} == {"first", "second"}
"""


def test_of_many_processes_one_builds_and_all_see_it_whole(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILD, str(tmp_path / "made"), str(tmp_path / "log")]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert (tmp_path / "log").read_text() == "built\n"


def test_a_build_that_fails_leaves_nothing_and_may_be_tried_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        stored(tmp_path / "made", fail)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    assert stored(tmp_path / "made", lambda folder: (folder / "whole").touch()).is_dir()


def test_the_cache_folder_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIERCEL_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("TIERCEL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "tiercel"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "tiercel"
