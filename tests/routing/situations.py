"""Situations made up for tests of policies."""

import numpy as np

from tiercel.routing.policy import Forecast, Situation, Wishes

SMALL = Forecast("small", 1.0, 0.3, 0.2, 1.0, 50.0)
MIDDLE = Forecast("middle", 1.6, 0.6, 0.5, 2.0, 50.0)
LARGE = Forecast("large", 4.2, 0.8, 0.75, 8.0, 50.0)
LARGEST = Forecast("largest", 8.8, 0.95, 0.9, 20.0, 50.0)
BLANK = (Forecast("a"), Forecast("b"))
LADDER = (SMALL, MIDDLE, LARGE, LARGEST)


def situation(*forecasts: Forecast, fallback: str = "", **fields) -> Situation:
    """The four plans of the ladder, or those given; wishes by their own names."""
    names = ("cost_weight", "target_quality", "max_seconds", "max_cost")
    wishes = Wishes(**{name: fields.pop(name) for name in names if name in fields})
    plans = forecasts or LADDER
    fields.setdefault("features", np.zeros(4, np.float32))
    return Situation(plans, fallback or plans[-1].plan_name, wishes=wishes, **fields)


def chosen(policy, seen: Situation) -> str:
    """The plan that a policy without chance in it takes."""
    odds = policy.weigh(seen)
    ((name, probability),) = odds.probabilities.items()
    assert probability == 1.0
    assert odds.reason, "every choice is explained"
    return name
