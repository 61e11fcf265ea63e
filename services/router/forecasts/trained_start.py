"""What fitted stopping policies expect of beginning with a plan, before anything was said."""

from collections.abc import Sequence

from tiercel.routing import ranking
from tiercel.routing.policy import Forecast, Situation
from tiercel.stopping.policy import StoppingPolicy
from tiercel.stopping.starts import Expected, Start, expected


class TrainedStart:
    """Quality that is kept in the end, less priced seconds of all that may follow."""

    name = "fitted stopping policies"

    def __init__(self, policies: Sequence[StoppingPolicy], plan_names: Sequence[str]) -> None:
        """`plan_names` are the plans that the policies' stages stand for."""
        self._policies = [policy for policy in policies if policy.starts]
        self._plan_names = tuple(plan_names)

    def value(self, situation: Situation, start: Forecast, cost_weight: float) -> float | None:
        """Return the expected value, in units of quality; None where nothing is known.

        Of several check points the best one counts: with all of them more can be done than with
        any. A plan that is no stage is never overruled, and worth its utility. Where a later stage
        cannot be asked, what was fitted does not hold.
        """
        if start.plan_name not in self._plan_names:
            return ranking.utility(start, cost_weight)
        stage = self._plan_names.index(start.plan_name)
        if any(situation.forecast(name) is None for name in self._plan_names[stage + 1 :]):
            return None
        worth = (self._worth(one, stage, situation, cost_weight) for one in self._policies)
        return max(worth, default=None)

    def _worth(
        self, policy: StoppingPolicy, stage: int, situation: Situation, cost_weight: float
    ) -> float:
        found = [situation.forecast(name) for name in self._plan_names]
        qualities = [None if one is None else one.quality for one in found]
        start = policy.starts[stage]
        forecasts = qualities if policy.reads_forecasts else None
        ahead = expected(start, situation.kind, policy.scores.kinds, forecasts)
        own = ahead.quality if qualities[stage] is None else qualities[stage]
        assert own is not None
        kept = min(max(own + ahead.gain, 0.0), 1.0)
        spent_s = self._own_s(start, situation) + ahead.after_s
        spent_s += self._surplus_s(policy, ahead, situation)
        return kept - cost_weight * max(0.0, spent_s)

    def _own_s(self, start: Start, situation: Situation) -> float:
        now = situation.forecast(self._plan_names[start.stage])
        usual_s = start.seconds(situation.kind)
        return usual_s if now is None or now.seconds is None else now.seconds

    def _surplus_s(self, policy: StoppingPolicy, ahead: Expected, situation: Situation) -> float:
        """Return what later stages take now beyond what they took when the policy was fitted."""
        surplus_s = 0.0
        for later, chance in ahead.ends.items():
            now = situation.forecast(self._plan_names[later])
            if now is not None and now.seconds is not None:
                usual_s = policy.starts[later].seconds(situation.kind)
                surplus_s += chance * (now.seconds - usual_s)
        return surplus_s
