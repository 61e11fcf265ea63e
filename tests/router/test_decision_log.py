"""The log of decisions: bounded in memory and on disk, and whole when it is closed."""

import json

from services.router import metrics
from services.router.conversations import Conversations
from services.router.decision_log import DecisionLog


def dropped() -> float:
    return metrics.num_dropped_decisions._value.get()


def test_everything_that_was_put_is_on_file_at_the_end(tmp_path):
    log = DecisionLog(str(tmp_path / "log.jsonl"))
    log.put({"lost": "before the start"})
    with log.writing():
        for number in range(100):
            log.put({"number": number})
    log.put({"lost": "after the end"})
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(100))


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = DecisionLog("")
    with log.writing():
        log.put({"number": 1})
        assert not log.is_on
    assert list(tmp_path.iterdir()) == []


def test_a_full_queue_drops_and_counts(tmp_path):
    log, before = DecisionLog(str(tmp_path / "log.jsonl"), max_waiting=0), dropped()
    with log.writing():
        log.put({"number": 1})
    assert dropped() == before + 1
    assert (tmp_path / "log.jsonl").read_text() == ""


def test_a_full_file_is_moved_aside(tmp_path):
    log = DecisionLog(str(tmp_path / "log.jsonl"), max_bytes=200)
    with log.writing():
        for number in range(40):
            log.put({"number": number})
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["log.jsonl", *(f"log.jsonl.{age}" for age in range(1, len(files)))]
    assert len(files) > 2
    assert all(path.stat().st_size <= 200 for path in tmp_path.iterdir())


def test_the_conversation_that_was_silent_longest_is_forgotten():
    known = Conversations(most=2)
    for session_id in ("a", "b", "a", "c"):
        known.answered(session_id, f"plan of {session_id}", escalated=session_id == "a")
    assert known.find("b").plan_name == ""
    found = known.find("a")
    assert (found.plan_name, found.num_turns, found.num_escalations) == ("plan of a", 2, 2)
    known.answered("", "nobody's", escalated=False)
    assert known.find("").num_turns == 0
