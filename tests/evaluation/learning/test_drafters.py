"""A drafter that appears in mid-stream: how soon it is used, with and without scores."""

import numpy as np
import pytest

from tiercel.evaluation.learning.drafters import (
    ALONE,
    AcceptanceLearner,
    Drafting,
    Pace,
    Seconds,
    made_up_matches,
    with_new_drafter,
)
from tiercel.evaluation.learning.replay import ALL, Feedback, Stream
from tiercel.evaluation.step_cost import TierTimes

ROOT = TierTimes(prefill_s=0.0, prompt_token_s=0.0, pass_s={1: 1.0, 9: 1.4})
SMALL = TierTimes(prefill_s=0.0, prompt_token_s=0.0, pass_s={1: 0.1, 9: 0.1})


@pytest.fixture(scope="module")
def drafting() -> Drafting:
    matches = made_up_matches([40] * 60, {"old": 0.4, "new": 0.9})
    return Drafting(ROOT, {"old": SMALL, "new": SMALL}, matches, is_synthetic=True)


def streams() -> list[Stream]:
    return [Stream.drawn(60, 900, seed) for seed in range(6)]


def test_made_up_matches_have_the_rates_they_are_given(drafting: Drafting):
    rates = {name: np.mean(np.concatenate(one)) for name, one in drafting.matches.items()}
    assert rates == pytest.approx({"old": 0.4, "new": 0.9}, abs=0.06)


def test_the_root_alone_takes_a_pass_for_each_token_after_the_first(drafting: Drafting):
    seconds = Seconds(drafting)
    assert seconds.of(0, "new", 0) == seconds.of(0, ALONE, 0) == 39.0
    assert seconds.mean("new", 4) < seconds.mean("old", 2) < 39.0


def test_a_pair_is_not_told_before_enough_of_its_tokens_are_judged(drafting: Drafting):
    learner, right = AcceptanceLearner(drafting, 100.0), np.ones(40, np.bool_)
    for at in range(4):
        learner.learn("new", right, at)
    assert learner.best(["old", "new"]) == (ALONE, 0)
    for at in range(4, 8):
        learner.learn("new", right, at)
    assert learner.best(["old", "new"]) == ("new", 8)
    assert learner.best(["old"]) == (ALONE, 0)


def test_idle_drafters_that_are_scored_are_found_sooner(drafting: Drafting):
    found = {
        share: with_new_drafter(drafting, streams(), 300, ALL, Pace(100.0, 10, share))
        for share in (0.2, 0.0)
    }
    assert found[0.2].recovery.is_within(150)
    assert not found[0.0].recovery.is_within(150)
    assert found[0.2].is_synthetic


def test_outcomes_that_come_late_keep_it_unknown(drafting: Drafting):
    late = Feedback("late", delay=400)
    found = with_new_drafter(drafting, streams(), 300, late, Pace(100.0, 10, 0.2))
    assert found.recovery.requests is not None and found.recovery.requests > 350
