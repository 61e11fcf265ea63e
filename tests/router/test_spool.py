"""What waits on disk while feedback is away: bounded, in order, over restarts."""

import json
from pathlib import Path

import pytest

from services.router import metrics
from services.router.learning import outcomes
from services.router.learning.kept_policy import read_policy, write_policy
from services.router.learning.learned import Advice
from services.router.learning.outcomes import OutcomeReporter
from services.router.learning.spool import Spool
from tests.router.routers import eventually
from tests.router.test_learned import Feedback, outcome
from tiercel.dead_letters import DeadLetters
from tiercel.errors import InvalidRequest, Unavailable
from tiercel.learning import LearnedPolicy, PairPolicy

PAIR = PairPolicy("draft", "target", "", 4, 0.25, 0.75, 300, 0.5, 0.125)
POLICY = LearnedPolicy("epoch", 7, (PAIR,))


def names(spool: Spool, most: int = 100) -> list[str]:
    return [one.event_id for one in spool.oldest(most)]


def test_it_is_a_queue_that_outlives_its_process(tmp_path: Path):
    spool = Spool(tmp_path / "deep" / "spool", 10)
    assert spool.put([outcome(name) for name in "abc"]) == 0
    spool.told(1)
    spool.close()
    again = Spool(tmp_path / "deep" / "spool", 10)
    assert again.put([outcome("d")]) == 0
    assert (len(again), names(again, 2), names(again)) == (3, ["b", "c"], list("bcd"))
    again.close()


def test_the_oldest_go_when_it_is_full(tmp_path: Path):
    spool = Spool(tmp_path / "spool", 3)
    assert spool.put([outcome(name) for name in "ab"]) == 0
    assert spool.put([outcome(name) for name in "cde"]) == 2
    assert (len(spool), names(spool)) == (3, list("cde"))
    spool.close()


def test_a_file_of_something_else_is_refused(tmp_path: Path):
    (tmp_path / "spool").write_text("something else, and long enough to be looked at" * 100)
    with pytest.raises(InvalidRequest, match="spool"):
        Spool(tmp_path / "spool", 3)


class Away(Feedback):
    """Feedback that is away until it comes."""

    has_come = False

    async def report(self, batch) -> None:
        if not self.has_come:
            raise Unavailable("away")
        await super().report(batch)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "_LOOK_S", 0.02)
    monkeypatch.setattr(outcomes, "_MAX_ATTEMPTS", 1)
    monkeypatch.setattr(outcomes, "_PARTING_S", 0.05)


@pytest.mark.usefixtures("impatient")
async def test_what_feedback_cannot_be_told_waits_until_it_comes(tmp_path: Path):
    before = metrics.num_dropped_outcomes._value.get()
    spool, feedback = Spool(tmp_path / "spool", 100), Away()
    reporter = OutcomeReporter(spool)
    async with reporter.reporting(feedback):
        for name in "abc":
            reporter.put(outcome(name))
        await eventually(lambda: len(spool) == 3)
        feedback.has_come = True
        await eventually(lambda: feedback.reported == list("abc"))
        await eventually(lambda: len(spool) == 0)
    assert metrics.num_dropped_outcomes._value.get() == before


@pytest.mark.usefixtures("impatient")
async def test_what_is_left_at_the_end_is_told_by_the_next_router(tmp_path: Path):
    first = OutcomeReporter(Spool(tmp_path / "spool", 100))
    async with first.reporting(Away()):
        for name in "ab":
            first.put(outcome(name))
    feedback, second = Feedback(), OutcomeReporter(Spool(tmp_path / "spool", 100))
    async with second.reporting(feedback):
        await eventually(lambda: feedback.reported == list("ab"))


@pytest.mark.usefixtures("impatient")
async def test_one_that_is_refused_takes_no_other_with_it(tmp_path: Path):
    spool = Spool(tmp_path / "spool", 100)
    spool.put([outcome(name) for name in "abcd"])
    feedback = Feedback(refuses="b")
    async with OutcomeReporter(spool).reporting(feedback):
        await eventually(lambda: feedback.reported == list("acd"))


@pytest.mark.usefixtures("impatient")
async def test_what_is_refused_is_kept_with_the_reason(tmp_path: Path):
    file = tmp_path / "refused.jsonl"
    feedback, reporter = Feedback(refuses="b"), OutcomeReporter(None, DeadLetters(file))
    async with reporter.reporting(feedback):
        for name in "abc":
            reporter.put(outcome(name))
        await eventually(lambda: feedback.reported == list("ac") and file.exists())
    [line] = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["event_id"] for one in line["outcomes"]] == ["b"]
    assert "outcomes.kind" in line["problem"]


def test_the_oldest_dead_letters_go(tmp_path: Path):
    file = tmp_path / "refused.jsonl"
    letters = DeadLetters(file, max_bytes=1_000)
    for number in range(20):
        letters.put([outcome(str(number))], "bad")
    kept = file.with_name("refused.jsonl.old").read_text() + file.read_text()
    numbers = [json.loads(line)["outcomes"][0]["event_id"] for line in kept.splitlines()]
    assert 1 < len(numbers) < 20
    assert numbers == [str(number) for number in range(20 - len(numbers), 20)]
    assert len(kept) <= 2 * 1_000


def test_dead_letters_that_cannot_be_written_do_no_harm(tmp_path: Path):
    DeadLetters(tmp_path / "nowhere" / "refused.jsonl").put([outcome("a")], "bad")


@pytest.mark.usefixtures("impatient")
async def test_more_than_memory_holds_goes_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outcomes, "_MAX_WAITING", 8)
    before = metrics.num_dropped_outcomes._value.get()
    spool = Spool(tmp_path / "spool", 100)
    reporter, feedback = OutcomeReporter(spool), Away()
    async with reporter.reporting(feedback):
        for number in range(50):
            reporter.put(outcome(str(number)))
        feedback.has_come = True
        await eventually(lambda: len(feedback.reported) == 50)
    assert sorted(feedback.reported, key=int) == [str(number) for number in range(50)]
    assert metrics.num_dropped_outcomes._value.get() == before


def test_the_last_policy_is_kept(tmp_path: Path):
    file = tmp_path / "deep" / "policy"
    assert read_policy(file) is None
    write_policy(file, POLICY)
    assert read_policy(file) == POLICY
    advice = Advice(file)
    assert advice.policy == POLICY
    assert advice.find("draft", "target", "maths") == PAIR


def test_a_policy_that_was_spoiled_is_none(tmp_path: Path):
    file = tmp_path / "policy"
    file.write_bytes(b"\xff\xff\xff")
    assert Advice(file).policy.version == 0


def test_where_nothing_can_be_kept_nothing_fails(tmp_path: Path):
    (tmp_path / "file").touch()
    write_policy(tmp_path / "file" / "policy", POLICY)
    assert read_policy(tmp_path / "file" / "policy") is None
