"""How fast tiers were of late, by what feedback learned: for replicas that told no speed yet."""

from collections.abc import Sequence

from services.router.fleet import Fleet
from services.router.forecasts.plan_times import Step
from services.router.learning.learned import Advice
from tiercel.learning import LearnedPolicy, TierPolicy


class LearnedSpeeds:
    """Steps of tiers at the load of now. The load is the router's own: others' it cannot see."""

    def __init__(self, fleet: Fleet, advice: Advice) -> None:
        self._fleet, self._advice = fleet, advice

    def step(self, tier: str) -> Step | None:
        """Return what a pass took; None if no answer of the tier, nor one drafted for it, told."""
        learned = self._advice.policy
        known = [one for one in learned.tiers if one.tier == tier and one.pass_s > 0]
        return self._of_load(known) if known else _of_pairs(learned, tier)

    def _of_load(self, known: Sequence[TierPolicy]) -> Step:
        """Return the step in the highest band of load that is reached, or else in the lowest.

        What first tokens take longer there than in the lowest band is spent waiting.
        """
        idle, *busier = sorted(known, key=lambda one: one.min_outstanding)
        replicas = self._fleet.of(idle.tier)
        load = min((one.num_outstanding for one in replicas), default=0)
        now = max(
            (one for one in busier if one.min_outstanding <= load),
            key=lambda one: one.min_outstanding,
            default=idle,
        )
        return Step(
            pass_s=now.pass_s,
            pass_s_per_token=now.pass_s_per_token,
            prompt_token_s=now.prefill_s_per_token,
            begin_s=max(0.0, now.first_token_p50_s - idle.first_token_p50_s),
        )


def _of_pairs(learned: LearnedPolicy, tier: str) -> Step | None:
    passes = [pair.verify_s_per_pass for pair in learned.pairs if pair.verifier == tier]
    known = [seconds for seconds in passes if seconds > 0]
    return Step(sum(known) / len(known), 0.0) if known else None
