"""The plan that the predictor says is soonest done, or best worth its seconds."""

import random
from collections.abc import Mapping, Sequence

from services.router.policy import Choice, Situation
from tiercel.errors import ModelUnavailable
from tiercel.plan_text import Outline, parse_plan
from tiercel.prediction.predictor import Prediction, Predictor
from tiercel.replies import Candidate


class PredictedPolicy:
    """Picks by predicted seconds; with a `cost_weight`, by quality - cost_weight x seconds.

    Without a quality head plans of another root than the default's are not compared: they would
    give another answer, and nothing says how good it is.
    """

    def __init__(
        self,
        predictor: Predictor,
        plans: Mapping[str, Outline],
        *,
        default_plan: str,
        exploration: float = 0.0,
        cost_weight: float = 0.0,
    ) -> None:
        """Raises ModelUnavailable if the predictor lacks what the policy needs."""
        manifest = predictor.manifest
        if cost_weight and not manifest.has_quality:
            raise ModelUnavailable(
                "a cost weight needs a predictor with a quality head, which needs graded outcomes; "
                "this predictor has none"
            )
        recorded = {name: parse_plan(text) for name, text in manifest.plans.items()}
        fitted = {
            name for name in plans if name in recorded and _is_of(recorded[name], plans[name])
        }
        if default_plan not in fitted:
            raise ModelUnavailable(
                f"the predictor was not trained on plan {default_plan!r} as it is configured now"
            )
        root = plans[default_plan].tier
        self._plans = {name for name in fitted if manifest.has_quality or plans[name].tier == root}
        self._predictor = predictor
        self._default_plan = default_plan
        self._exploration = exploration
        self._cost_weight = cost_weight

    def choose(self, plan_names: Sequence[str], situation: Situation) -> Choice:
        """Return the best of the plans that are known, or, seldom, one drawn at random."""
        prediction = self._predictor.predict(
            situation.prompt,
            temperature=situation.temperature,
            max_new_tokens=situation.max_new_tokens,
        )
        known = [name for name in plan_names if name in self._plans & prediction.seconds.keys()]
        if not known:
            candidates = (Candidate(self._default_plan),)
            return Choice(self._default_plan, 1.0, candidates, "no plan is known to the predictor")
        best = max(known, key=lambda name: self._worth(name, prediction))
        chosen = random.choice(known) if random.random() < self._exploration else best
        return Choice(
            chosen,
            self._propensity(chosen, best, len(known)),
            tuple(_candidate(name, prediction) for name in known),
            self._reason(chosen, best, prediction),
        )

    def _worth(self, name: str, prediction: Prediction) -> float:
        if not self._cost_weight:
            return -prediction.seconds[name]
        return prediction.quality.get(name, 0.0) - self._cost_weight * prediction.seconds[name]

    def _propensity(self, chosen: str, best: str, number: int) -> float:
        explored = self._exploration / number
        return 1.0 - self._exploration + explored if chosen == best else explored

    def _reason(self, chosen: str, best: str, prediction: Prediction) -> str:
        seconds = f"{prediction.seconds[chosen]:.2f} s predicted"
        if chosen != best:
            return f"explored: {seconds}, {prediction.seconds[best]:.2f} s for {best}"
        aim = "the most quality for its seconds" if self._cost_weight else "the soonest done"
        return f"{aim}: {seconds}"


def _candidate(name: str, prediction: Prediction) -> Candidate:
    return Candidate(name, prediction.seconds[name], prediction.quality.get(name))


def _is_of(recorded: Outline, configured: Outline) -> bool:
    """Whether a plan was recorded as it is configured now; what is left open may be anything."""
    number, confidence = configured.num_speculative_tokens, configured.draft_confidence
    return (
        recorded.tier == configured.tier
        and number in (None, recorded.num_speculative_tokens)
        and (confidence or None) in (None, recorded.draft_confidence)
        and len(recorded.drafters) == len(configured.drafters)
        and all(map(_is_of, recorded.drafters, configured.drafters))
    )
