"""Services for one command alone: they answer, and they are gone with it, however it ends."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.processes import PATIENCE_S, alive, descendants_of, until


def start(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    """Start `tiercel`; its temporary files go into `folder`."""
    return subprocess.Popen(
        ["env", f"TMPDIR={folder}", sys.executable, "-m", "tiercel.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def bench(config: Path, tmp_path: Path) -> list[str]:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("hello\nthere\n")
    return ["bench", str(prompts), "--own", "--config", str(config), "--json"]


def test_a_bench_on_services_of_its_own(bench: list[str], tmp_path: Path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    with start(*bench, "--max-new-tokens", "16", "--temperature", "0.8", folder=folder) as process:
        output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    report = json.loads(output)
    assert [plan["name"] for plan in report["plans"]] == ["pair", "alone"]
    assert [root["differences"] for root in report["agreements"]] == [[]]
    assert list(folder.glob("tiercel-*")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_bench_leaves_nothing_behind(
    bench: list[str], tmp_path: Path, number: signal.Signals
):
    folder = tmp_path / "temporary"
    folder.mkdir()
    process = start(*bench, "--rounds", "100000", folder=folder)
    try:
        with process:
            await until(lambda: len(descendants_of(process.pid)) == 6, "all have started")
            everything = descendants_of(process.pid)
            process.send_signal(number)
            _, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert not any(alive(pid) for pid in everything)
    assert list(folder.glob("tiercel-*")) == []


@pytest.mark.timeout(600)
def test_the_demo_shows_the_same_text_under_every_plan_and_ends(tmp_path: Path):
    with start("demo", folder=tmp_path) as process:
        output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    lines = output.splitlines()
    assert "all 6 plans gave the same text, character for character" in lines
    assert lines[-1] == "stopped, no process is left behind"
    assert output.count("[draft]") > 3
    assert list(tmp_path.glob("tiercel-*")) == []
