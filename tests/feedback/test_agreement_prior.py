"""How alike two models are says what to expect of a pair of which too little was judged."""

import pytest

from services.feedback.estimates import Estimator
from tests.feedback.test_estimates import snapshot
from tiercel.learning import Outcome, PairPolicy
from tiercel.types import PairStats, TierStats, Usage


def seen(
    drafter: str, verifier: str, *, compared: int = 0, distance: float = 0.0, judged: int = 0,
    accepted: int = 0, kind: str = "",
) -> Outcome:  # fmt: skip
    """One answer of a verifier whose passes take 40 ms, a draft token 1 ms."""
    pair = PairStats(
        drafter,
        verifier,
        num_drafts=1,
        num_draft_tokens=100,
        num_accepted_tokens=accepted,
        num_rejected_tokens=judged - accepted,
        draft_compute_s=0.1,
        num_compared=compared,
        total_variation=compared * distance,
    )
    tier = TierStats(verifier, num_forward_passes=100, compute_s=4.0)
    return Outcome("event", Usage(1, 1, (pair,), (tier,)), kind=kind)


def learned(*outcomes: Outcome, **settings: float) -> dict[tuple[str, str, str], PairPolicy]:
    policy = Estimator(**settings).policy(snapshot(*outcomes))
    return {(pair.drafter, pair.verifier, pair.kind): pair for pair in policy.pairs}


def test_a_pair_that_was_compared_is_known_before_it_is_judged():
    [pair] = learned(seen("draft", "target", compared=50, distance=0.2)).values()
    assert pair.acceptance_rate == pytest.approx(0.8 / 1.2)  # coupled draws agree at least so often
    assert pair.num_judged_tokens == 0
    assert 0 < pair.num_speculative_tokens < 16
    [far] = learned(seen("draft", "target", compared=50, distance=0.99)).values()
    assert far.num_speculative_tokens < pair.num_speculative_tokens


def test_the_first_judged_tokens_move_it_and_enough_of_them_stand_alone():
    few = seen("draft", "target", compared=50, distance=0.2, judged=50, accepted=50)
    [pair] = learned(few, prior_tokens=50).values()
    assert pair.acceptance_rate == pytest.approx((0.8 / 1.2 + 1) / 2)
    many = seen("draft", "target", compared=50, distance=0.2, judged=200, accepted=100)
    [pair] = learned(many).values()
    assert pair.acceptance_rate == 0.5


def test_too_few_comparisons_say_nothing():
    assert learned(seen("draft", "target", compared=19, distance=0.2)) == {}
    assert learned(seen("draft", "target", compared=50, distance=0.2), prior_tokens=0) == {}


def test_a_pair_never_seen_is_known_by_way_of_a_third_tier():
    found = learned(
        seen("small", "middle", judged=300, accepted=270),
        seen("middle", "large", compared=50, distance=0.0),
    )
    assert found["small", "large", ""].acceptance_rate == pytest.approx(0.9)
    assert found["small", "large", ""].num_judged_tokens == 0
    assert found["small", "large", ""].draft_s_per_token == pytest.approx(0.001)
    assert learned(seen("small", "middle"), seen("middle", "large")) == {}


def test_a_kind_has_its_own_likeness_and_otherwise_the_pair_speaks_for_it():
    whole = seen("draft", "target", compared=200, distance=0.1)
    hard = seen("draft", "target", compared=50, distance=0.6, kind="hard")
    easy = seen("draft", "target", kind="easy")
    found = learned(whole, hard, easy)
    assert set(found) == {("draft", "target", ""), ("draft", "target", "hard")}
    assert found["draft", "target", "hard"].acceptance_rate == pytest.approx(0.4 / 1.6)
