"""Which requests a policy on trial is given, and what it says of the others."""

from dataclasses import replace

import pytest

from services.router.learning.trials import PolicyTrial
from tiercel.learning import LearnedPolicy, Trial
from tiercel.routing.costs import Static
from tiercel.routing.policy import Forecast, Odds, Situation, Wishes
from tiercel.sessions import Objective

FORECASTS = (Forecast("a", seconds=1.0, quality=0.9), Forecast("b", seconds=0.1, quality=0.8))
SITUATION = Situation(FORECASTS, "a")


class Takes:
    """A policy that takes one plan, or fails."""

    def __init__(self, plan: str) -> None:
        self.plan = plan

    def weigh(self, situation: Situation) -> Odds:
        if not self.plan:
            raise ValueError("no plan")
        return Odds({self.plan: 0.75, "a": 0.25}, "it is told to")


class Heard:
    """What feedback told, and how long ago."""

    def __init__(self, silent_s: float = 0.0, **told) -> None:
        self.policy, self.silent_s = LearnedPolicy("e", 1, **told), silent_s


def trial(share: float, *draws: float, plan: str = "b", heard: Heard | None = None, **options):
    return PolicyTrial(
        "utility",
        Takes(plan),
        **{"incumbent": "static", "cost_weight": 0.1} | options,
        share=share,
        watched=heard or Heard(),
        uniform=iter(draws).__next__,
    )


def test_requests_are_given_to_it_by_one_draw_and_say_so():
    both = trial(0.25, 0.24, 0.25)
    tried, other = (both.weigh(Static(), SITUATION, "") for _ in range(2))
    assert (tried.policy, tried.odds.probabilities) == ("utility", {"b": 0.75, "a": 0.25})
    assert tried.part is not None and tried.part.tried and tried.part.share == 0.25
    assert both.shadows(tried, SITUATION, "b") == ()
    assert (other.policy, other.odds.probabilities) == ("static", {"a": 1.0})
    assert other.part is not None and not other.part.tried


def test_a_conversation_stays_with_its_policy_and_larger_shares_keep_it():
    few, many = trial(0.2), trial(0.4)
    names = [str(number) for number in range(400)]
    first = {name for name in names if few.weigh(Static(), SITUATION, name).part.tried}
    later = {name for name in names if many.weigh(Static(), SITUATION, name).part.tried}
    assert first == {name for name in names if few.weigh(Static(), SITUATION, name).part.tried}
    assert 50 < len(first) < 110 < len(later) and first < later
    # Another trial has other conversations, or bad luck with them would be inherited.
    other = trial(0.2, incumbent="budget")
    assert first != {name for name in names if other.weigh(Static(), SITUATION, name).part.tried}


def test_in_the_shadow_it_says_what_it_would_have_done():
    shadow = trial(0.0)
    weighed = shadow.weigh(Static(), SITUATION, "")
    assert (weighed.policy, weighed.part) == ("static", None)
    [seen] = shadow.shadows(weighed, SITUATION, "a")
    assert (seen.policy, seen.incumbent, seen.plan_name) == ("utility", "static", "b")
    assert seen.agreement == 0.25
    # 0.9 - 0.1 x 1 s for a, 0.8 - 0.1 x 0.1 s for b, of which it takes three quarters.
    assert seen.utility_gain == pytest.approx(0.75 * (0.79 - 0.8))
    unknown = replace(SITUATION, forecasts=(FORECASTS[0], Forecast("b")))
    [seen] = shadow.shadows(weighed, unknown, "a")
    assert seen.utility_gain is None


@pytest.mark.parametrize(
    ("heard", "acts"),
    [
        (Heard(), True),
        (Heard(silent_s=59.0), True),
        (Heard(silent_s=61.0), False),
        (Heard(silent_s=float("inf")), False),
        (Heard(frozen=True), False),
        (Heard(trials=(Trial("utility", 0.5, False, incumbent="static"),)), True),
        (Heard(trials=(Trial("utility", 0.5, True, "bad", incumbent="static"),)), False),
        (Heard(trials=(Trial("utility", 0.5, True, "bad", incumbent="budget"),)), True),
    ],
)
def test_it_decides_only_while_it_is_watched_and_not_rolled_back(heard: Heard, acts: bool):
    weighed = trial(0.5, 0.0, heard=heard).weigh(Static(), SITUATION, "")
    assert (weighed.policy == "utility") == acts
    assert (weighed.part is not None) == acts


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_policy_that_fails_costs_no_request_and_is_told_of(share: float):
    bad = trial(share, 0.0, plan="")
    weighed = bad.weigh(Static(), SITUATION, "")
    assert (weighed.policy, weighed.odds.probabilities) == ("static", {"a": 1.0})
    assert bad.shadows(weighed, SITUATION, "a") == ()
    assert bool(weighed.part and weighed.part.fault) == bool(share)


@pytest.mark.parametrize(
    ("objective", "incumbent", "concerned"),
    [
        (Objective(), "static", True),
        (Objective(policy="static"), "static", False),
        (Objective(wishes=Wishes(target_quality=0.5)), "static", False),
        (Objective(wishes=Wishes(target_quality=0.5)), "target", False),
        (Objective(wishes=Wishes(cost_weight=0.5)), "static", False),
        (Objective(wishes=Wishes(cost_weight=0.5)), "cascade", True),
        (Objective(wishes=Wishes(max_seconds=5.0)), "static", False),
        (Objective(wishes=Wishes(max_seconds=5.0)), "cascade", True),
    ],
)
def test_it_is_given_what_is_left_to_the_router_and_no_wish_is_lost(
    objective: Objective, incumbent: str, concerned: bool
):
    assert trial(0.5, incumbent=incumbent).concerns(objective) == concerned
