"""Contenders that are policies of the router, replayed by the odds that they give."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tiercel.errors import InvalidRequest
from tiercel.evaluation.frontier.beliefs import Beliefs
from tiercel.evaluation.frontier.fold import Fold
from tiercel.evaluation.frontier.points import Floats, Points, from_odds, spread
from tiercel.evaluation.frontier.table import Doubles, Table
from tiercel.routing.policy import Forecast, Policy, Situation, Wishes
from tiercel.routing.registry import Factory, PolicySettings

PolicyOf = Callable[[Fold, float], Policy]
"""Returns the policy of a fold at a setting; one whose knob is a wish ignores the setting."""


@dataclass(frozen=True)
class PolicyContender:
    """A policy over a sweep of its knob; settings are chosen on validation."""

    name: str
    policy_of: PolicyOf
    wishes_of: Callable[[float], Wishes] = lambda setting: Wishes()
    settings_of: Callable[[Fold], Doubles] = lambda fold: np.zeros(1)

    def replay(self, fold: Fold) -> Points:
        """Return the test prompts' points, cheap settings first."""
        settings = self.settings_of(fold)
        if len(settings) > 1:
            tried = self._odds(fold, fold.validation, fold.validation_beliefs, settings)
            costs = from_odds(tried, fold.validation).cost.mean(axis=0).astype(np.float64)
            settings = settings[spread(costs)]
        odds = self._odds(fold, fold.test, fold.test_beliefs, settings)
        return from_odds(odds, fold.test, fold.overhead)

    def _odds(self, fold: Fold, table: Table, beliefs: Beliefs, settings: Doubles) -> Floats:
        asked = situations(table, beliefs)
        distinct = {setting: None for setting in settings.tolist()}
        by_setting = {
            setting: weighed(self.policy_of(fold, setting), asked, self.wishes_of(setting))
            for setting in distinct
        }
        return np.stack([by_setting[setting] for setting in settings.tolist()], axis=1)


def of_ones_own(name: str, factory: Factory) -> PolicyContender:
    """Return a policy of anybody's, over a sweep of what a unit of cost is worth to it.

    One that does not ask has one point. Both the operator and the caller say the weight.
    """
    return PolicyContender(
        name,
        lambda fold, setting: factory(PolicySettings(cost_weight=setting)),
        lambda setting: Wishes(cost_weight=setting),
        lambda fold: fold.weights,
    )


def weighed(policy: Policy, asked: Sequence[Situation], wishes: Wishes) -> Floats:
    """Return the odds [n, plans] that a policy gives to situations with these wishes.

    Raises InvalidRequest for odds of a plan that is not there.
    """
    names = [one.plan_name for one in asked[0].forecasts]
    place = {name: at for at, name in enumerate(names)}
    odds = np.zeros((len(asked), len(names)), np.float32)
    for row, situation in zip(odds, asked, strict=True):
        for name, probability in policy.weigh(
            replace(situation, wishes=wishes)
        ).probabilities.items():
            if name not in place:
                raise InvalidRequest("odds", name, f"the plans are {', '.join(place)}")
            row[place[name]] = probability
    return odds


def situations(table: Table, beliefs: Beliefs) -> list[Situation]:
    """Return what a policy is shown of each prompt; a table's unit of cost stands for seconds.

    The fallback is the dearest plan, as an operator would have it.
    """
    fallback = table.plan_names[int(table.costs.mean(axis=0).argmax())]
    kinds, features = table.examples.kinds, table.examples.features
    return [
        Situation(_forecasts(table, beliefs, at), fallback, features[at], kinds[at])
        for at in range(len(table))
    ]


def _forecasts(table: Table, beliefs: Beliefs, at: int) -> tuple[Forecast, ...]:
    return tuple(
        Forecast(
            name,
            seconds=float(beliefs.costs[at, plan]),
            quality=_known(beliefs.quality[at, plan]),
            quality_bound=_known(beliefs.bound[at, plan]),
            cost=float(beliefs.costs[at, plan]),
            num_tokens=_known(beliefs.num_tokens[at, plan]),
        )
        for plan, name in enumerate(table.plan_names)
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
