"""Workers as real processes: the pipes, failures of every kind, and turns between systems."""

import json
import sys
import tomllib

import pytest

from bench.peers import systems
from bench.peers.environment import Environment, PeerUnavailableError
from bench.peers.measurement import Measurement, spread
from bench.peers.systems import System
from bench.peers.worker_process import WorkerProcess
from bench.peers.workers.pipe import Question
from bench.peers.workers.services import configuration
from tests.bench import fake_worker
from tiercel import tiers
from tiercel.cli.bench.prompts import BenchPrompt, read_prompts
from tiercel.plan_text import parse_plan


def command(**options: object) -> list[str]:
    return [sys.executable, "-m", fake_worker.__name__, json.dumps(options)]


def question(text: str = "hello", max_new_tokens: int = 12) -> Question:
    return Question(text, [1, 2], [0], max_new_tokens)


def test_answers_come_back_though_the_system_prints():
    with WorkerProcess(command(noise="printed by a library\n")) as worker:
        assert worker.about == {"name": "fake"}
        answer = worker.ask(question())
    assert [count for count, _ in answer["arrivals"]] == list(range(1, 13))
    assert answer["token_ids"] == list(range(12))


def test_a_prompt_that_fails_has_its_reason_and_does_not_end_the_worker():
    with WorkerProcess(command()) as worker:
        with pytest.raises(PeerUnavailableError, match="ValueError: no such prompt"):
            worker.ask(question("fail"))
        assert worker.ask(question())["token_ids"]


def test_a_worker_that_cannot_load_says_why():
    with pytest.raises(PeerUnavailableError, match="OSError: no weights"):
        WorkerProcess(command(broken="no weights")).__enter__()


def test_a_worker_that_dies_leaves_its_last_words():
    with WorkerProcess(command()) as worker:
        with pytest.raises(PeerUnavailableError, match="ended with 3: out of memory"):
            worker.ask(question("die"))
        with pytest.raises(PeerUnavailableError, match="ended with 3"):
            worker.ask(question())


def test_a_program_that_is_no_worker_is_told_apart():
    with pytest.raises(PeerUnavailableError, match=r"ended with 1: .*No module named"):
        WorkerProcess([sys.executable, "-m", "nosuchmodule"]).__enter__()


def test_a_late_worker_is_ended():
    with WorkerProcess(command()) as worker:
        with pytest.raises(PeerUnavailableError, match=r"no answer in 0\.2 s"):
            worker.ask(question("hang"), timeout_s=0.2)
        assert worker._process.wait(150) < 0


def test_systems_take_turns_and_one_that_fails_is_out_with_its_reason():
    unavailable = "no wheel for this machine"

    def cannot_install(_: Environment) -> list[str]:
        raise PeerUnavailableError(unavailable)

    compared = [
        System("first", "shared", lambda _: command()),
        System("second", "shared", lambda _: command(), options={"plan": "x"}),
        System("breaks", "breaks", lambda _: command(fails_at="b")),
        System("absent", "absent", cannot_install),
    ]
    measurement = Measurement(compared, on_note=lambda _: None)
    outcome = measurement.run([question("a"), question("b")], ["qa", "rag"], rounds=2)
    assert outcome.missing == {"absent": unavailable, "breaks": "ValueError: no such prompt"}
    order = [(one.round, one.prompt, one.system) for one in outcome.samples]
    assert order == [
        (0, 0, "first"), (0, 0, "second"), (0, 1, "second"), (0, 1, "first"),
        (1, 0, "first"), (1, 0, "second"), (1, 1, "second"), (1, 1, "first"),
    ]  # fmt: skip
    assert {one.task for one in outcome.samples if one.prompt == 1} == {"rag"}
    # The fake answers with the length of the plan behind its tokens: options reach the system.
    assert {len(one.token_ids) for one in outcome.samples if one.system == "second"} == {13}


def test_a_slice_holds_every_kind_of_task():
    prompts = [BenchPrompt(str(n), task) for n, task in enumerate(("qa", "qa", "rag", "qa", "rag"))]
    assert [one.text for one in spread(prompts, 1)] == ["0", "2"]
    assert [one.text for one in spread(prompts, None)] == ["0", "1", "3", "2", "4"]


def test_the_prompts_of_the_bench_hold_every_kind_twice():
    kinds = [one.task for one in read_prompts(systems.PROMPTS)]
    assert len(kinds) == 12
    assert {kinds.count(kind) for kind in kinds} == {2}


def test_the_configuration_has_the_tiers_of_every_plan():
    known = tiers.parse(tomllib.loads(configuration())).tiers
    for text in systems.PLANS:
        assert {part.tier for part in parse_plan(text).plan().walk()} <= set(known)


def test_names_of_systems_are_unique():
    names = [one.name for one in systems.all_systems(2)]
    assert len(set(names)) == len(names)


def test_what_is_installed_is_not_installed_again(tmp_path):
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "peer").write_text("peer==1\nother==2")
    Environment(tmp_path).install(["peer==1", "other==2"])
    assert not (tmp_path / "bin").exists()


def test_a_failed_command_of_the_environment_has_its_last_line(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    with pytest.raises(PeerUnavailableError, match=r"^no space left$"):
        Environment(tmp_path).run("-c", "raise SystemExit('warning\\nno space left')")
