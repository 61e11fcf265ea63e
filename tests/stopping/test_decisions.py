"""One decision at a time: what it says, what it is told, what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from tests.stopping.synthetic import blind_data, ladder
from tiercel.errors import InvalidRequest
from tiercel.stopping.fitting import fit
from tiercel.stopping.policy import GoOn, Stop
from tiercel.stopping.replay import replay

both = pytest.mark.parametrize("recall", [True, False])


@both
def test_decisions_one_by_one_are_those_of_the_replay(recall: bool):
    data = ladder(60, 9)
    policy = fit(ladder(500, 10), 0.05, recall=recall)
    found = replay(policy, data)
    for row in range(len(data)):
        stage, kept, best = 0, 0, None
        while True:
            decision = policy.decide(stage, data.evidence[row, stage], "one", best)
            if isinstance(decision, GoOn):
                assert decision.gain > decision.price == 0.05 * decision.seconds
            keeps_own = best is None or decision.score > best
            kept = stage if keeps_own else kept
            if isinstance(decision, Stop):
                assert decision.keeps_earlier == (not keeps_own)
                assert decision.gain <= decision.price
                break
            best = decision.score if recall else None
            stage = decision.following
        assert (stage, kept) == (found.last[row], found.kept[row])


def test_decisions_say_why_in_words():
    policy = fit(blind_data((0.3, 0.6), (1.0, 2.0)), 0.1, recall=True)
    assert policy.decide(0, [], "one").explanation == (
        "go on to b: an expected gain of 0.300 exceeds the price of 0.200 (2.00 s to b, "
        "0.1 a second)"
    )
    assert policy.decide(0, [], "one", seconds={1: 4.0}).explanation == (
        "stop: an expected gain of 0.300 does not exceed the price of 0.400 (4.00 s to b, "
        "0.1 a second)"
    )


def test_the_cheaper_way_is_taken_where_two_are_open():
    """What was drafted is reused: the last stage is cheaper straight from the first."""
    data = blind_data((0.3, 0.35, 0.9), (1.0, 1.0, 4.0))
    seconds = data.seconds.copy()
    seconds[:, 1, 2] = 2.0
    policy = fit(replace(data, seconds=seconds), 0.1, recall=True)
    found = policy.decide(0, [], "one")
    assert isinstance(found, GoOn) and found.following == 2
    found = policy.decide(0, [], "one", seconds={2: 5.5})
    assert isinstance(found, GoOn) and found.following == 1
    seconds[:, 1, 2] = 5.5  # still worth it, but less so
    dearer = replace(data, seconds=seconds)
    found = replay(fit(dearer, 0.1, recall=True), dearer)
    assert set(found.last) == {2} and found.seconds.tolist() == [1 + 1 + 4] * len(data)


def test_seconds_are_by_kind_where_they_differ():
    data = blind_data((0.3, 0.6), (1.0, 1.0), 40)
    kinds = ("code", "facts") * 20
    seconds = data.seconds.copy()
    seconds[1::2, 1, 1] = 9.0
    policy = fit(replace(data, kinds=kinds, seconds=seconds), 0.1, recall=True)
    found = [policy.decide(0, [], kind) for kind in ("code", "facts", "another")]
    assert [each.seconds for each in found] == pytest.approx([1.0, 9.0, 5.0])
    assert [type(each) for each in found] == [GoOn, Stop, Stop]


def test_a_kind_that_one_fold_lacks_is_learned_all_the_same():
    data = ladder(100, 11)
    policy = fit(replace(data, kinds=("rare", *("one",) * 99)), 0.05, recall=True)
    assert policy.scores.kinds == ("one", "rare")


@pytest.mark.parametrize(
    ("stage", "evidence", "best", "seconds", "why"),
    [
        (3, [0.0, 0.0], None, {}, "stage"),
        (0, [0.0], None, {}, "2 finite numbers"),
        (0, [0.0, np.nan], None, {}, "2 finite numbers"),
        (0, [0.0, 0.0], 1.5, {}, "best_so_far"),
        (0, [0.0, 0.0], None, {1: np.nan}, "seconds"),
    ],
)
def test_what_cannot_be_decided_on_is_refused(
    stage: int, evidence: list[float], best: float | None, seconds: dict[int, float], why: str
):
    policy = fit(ladder(50, 16), 0.1, recall=True)
    with pytest.raises(InvalidRequest, match=why):
        policy.decide(stage, evidence, "one", best, seconds)


def test_recall_is_refused_where_there_is_none():
    data = ladder(50, 17)
    with pytest.raises(InvalidRequest, match="without recall"):
        fit(data, 0.1, recall=False).decide(0, [0.0, 0.0], "one", 0.5)
    with pytest.raises(InvalidRequest, match="unfinished"):
        fit(replace(data, prefix_tokens=16), 0.1, recall=True)
    with pytest.raises(InvalidRequest, match="num_folds"):
        fit(data, 0.1, recall=True, num_folds=51)


def test_of_equals_nothing_more_is_run_and_the_earlier_answer_stays():
    policy = fit(blind_data((0.5, 0.5), (1.0, 0.0)), 1.0, recall=True)
    found = policy.decide(0, [], "one")
    assert isinstance(found, Stop) and found.gain == found.price == 0.0
    score = policy.decide(1, [], "one").score
    last = policy.decide(1, [], "one", score)
    assert isinstance(last, Stop) and last.keeps_earlier


def test_an_unknown_kind_is_the_average_one():
    data = blind_data((0.3, 0.6), (1.0, 1.0), 40)
    kinds = ("code", "code", "code", "facts") * 10
    quality = np.array([[0.9 if kind == "code" else 0.1] * 2 for kind in kinds])
    policy = fit(replace(data, kinds=kinds, quality=quality), 0.1, recall=True)
    scores = [policy.decide(0, [], kind).score for kind in ("code", "facts", "another")]
    assert scores == pytest.approx([0.9, 0.1, 0.7], abs=0.01)


def test_a_score_is_a_share():
    data = ladder(300, 18, noise=0.1)
    policy = fit(
        replace(data, quality=data.quality * 0 + (data.evidence[:, :, 0] > 1)), 0.1, recall=True
    )
    scores = [policy.decide(2, [far, 0.0], "one").score for far in (-1e6, 1e6)]
    assert scores == [0.0, 1.0]
