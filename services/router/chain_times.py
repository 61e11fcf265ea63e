"""What a plan takes by what its tiers measure: step times, acceptance, waits, round trips."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.router.fleet import Fleet
from services.router.learned import Advice
from tiercel.decoding.chain_cost import Level
from tiercel.decoding.chain_time import Chain, seconds_per_token
from tiercel.descriptions import DrafterRecord, Residency, TierDescription
from tiercel.routing.likeness import Likeness
from tiercel.types import PairStats, Plan

# With fewer judged tokens a rate is chance.
_MIN_JUDGED = 20


@dataclass(frozen=True)
class PlanTimes:
    """Seconds of a plan, and what they cost at the tiers' prices."""

    begin_s: float  # of a cold or busy root
    prompt_token_s: float
    token_s: float
    prompt_token_cost: float
    token_cost: float

    def seconds(self, num_prompt_tokens: float, num_tokens: float) -> float:
        """Return the seconds of an answer; the last pass over the prompt gives its first token."""
        later = self.token_s * max(0.0, num_tokens - 1.0)
        return self.begin_s + self.prompt_token_s * num_prompt_tokens + later

    def cost(self, num_prompt_tokens: float, num_tokens: float) -> float:
        """Return the cost of an answer: the seconds of work of each tier times its price."""
        later = self.token_cost * max(0.0, num_tokens - 1.0)
        return self.prompt_token_cost * num_prompt_tokens + later


@dataclass(frozen=True)
class _Step:
    """Seconds of a pass, by its width."""

    pass_s: float
    pass_s_per_token: float
    wait_s: float = 0.0
    prompt_token_s: float = 0.0
    load_s: float = 0.0

    def __call__(self, num_tokens: int) -> float:
        return self.wait_s + self.pass_s + self.pass_s_per_token * (num_tokens - 1)


class ChainTimes:
    """Predicts from what is known now. What is not known makes a plan's times unknown."""

    def __init__(self, fleet: Fleet, advice: Advice, prices: Mapping[str, float]) -> None:
        self._fleet = fleet
        self._advice = advice
        self._prices = prices
        self._likeness = Likeness()

    def compared(self, pairs: Sequence[PairStats]) -> None:
        """Take in how far tiers' distributions lay apart in an answer."""
        for pair in pairs:
            if pair.num_compared:
                distance = pair.total_variation / pair.num_compared
                self._likeness.compared(pair.drafter, pair.verifier, distance)

    def of(self, plan: Plan, kind: str, predicted: Mapping[str, float]) -> PlanTimes | None:
        """Return the times of the plan's quickest chain; None if some part was never measured.

        `predicted` are acceptance rates of this prompt, by "drafter under verifier", for pairs that
        were not tried of late.
        """
        root = self._step(plan.tier)
        if root is None:
            return None
        chains = [self._chain(path, kind, predicted) for path in _paths(plan)]
        known = [chain for chain in chains if chain is not None]
        if not known:
            return None
        token_s, token_cost = min(known)
        price = self._prices.get(plan.tier, 1.0)
        return PlanTimes(
            begin_s=root.load_s + (root.wait_s if root.prompt_token_s else root(1)),
            prompt_token_s=root.prompt_token_s,
            token_s=token_s,
            prompt_token_cost=root.prompt_token_s * price,
            token_cost=token_cost,
        )

    def _chain(
        self, path: Sequence[Plan], kind: str, predicted: Mapping[str, float]
    ) -> tuple[float, float] | None:
        """Return a token's seconds and cost under one chain, the root first."""
        if len(path) == 1 or path[1].num_speculative_tokens == 0:
            step = self._step(path[0].tier)
            return None if step is None else (step(1), self._price(path[0]) * _worked(step, 1))
        levels, priced = [], []
        for verifier, drafter in reversed(list(pairwise(path))):
            step = self._step(verifier.tier)
            rate = self._acceptance(drafter.tier, verifier.tier, kind, predicted)
            if step is None or rate is None:
                return None
            length = drafter.num_speculative_tokens
            levels.append(
                Level(step, rate, self._round_trip_s(drafter.tier, verifier.tier, length))
            )
            priced.append(Level(_Priced(step, self._price(verifier)), rate))
        draft_s = self._draft_s(path[-1].tier, path[-2].tier, kind)
        if draft_s is None:
            return None
        lengths = tuple(part.num_speculative_tokens for part in reversed(path[1:]))
        seconds = seconds_per_token(Chain(draft_s, tuple(levels), lengths))
        cost = Chain(draft_s * self._price(path[-1]), tuple(priced), lengths)
        return seconds, seconds_per_token(cost)

    def _price(self, part: Plan) -> float:
        return self._prices.get(part.tier, 1.0)

    def _step(self, tier: str) -> _Step | None:
        """Return the times of the tier's replica that would be quickest now."""
        found = [_step_of(about) for about in self._descriptions(tier) if about.speed.pass_s > 0]
        if found:
            return min(found, key=lambda step: step.load_s + step(1))
        passes = [
            pair.verify_s_per_pass for pair in self._advice.policy.pairs if pair.verifier == tier
        ]
        known = [seconds for seconds in passes if seconds > 0]
        return _Step(sum(known) / len(known), 0.0) if known else None

    def _acceptance(
        self, drafter: str, verifier: str, kind: str, predicted: Mapping[str, float]
    ) -> float | None:
        """Return the rate: learned of this kind, of late, learned of all, predicted, a prior."""
        learned = self._advice.find(drafter, verifier, kind)
        if learned is not None and learned.num_judged_tokens < _MIN_JUDGED:
            learned = None
        if learned is not None and learned.kind:
            return learned.acceptance_rate
        live = self._live_rate(drafter, verifier)
        if live is not None:
            return live
        if learned is not None:
            return learned.acceptance_rate
        name = f"{drafter} under {verifier}"
        if name in predicted:
            return predicted[name]
        return self._likeness.acceptance(drafter, verifier, self._tried())

    def _tried(self) -> dict[tuple[str, str], float]:
        pairs = self._advice.policy.pairs
        return {
            (pair.drafter, pair.verifier): pair.acceptance_rate
            for pair in pairs
            if not pair.kind and pair.num_judged_tokens >= _MIN_JUDGED
        }

    def _live_rate(self, drafter: str, verifier: str) -> float | None:
        records = list(self._records(drafter, verifier))
        accepted = sum(one.num_accepted_tokens for one in records)
        judged = accepted + sum(one.num_rejected_tokens for one in records)
        return accepted / judged if judged >= _MIN_JUDGED else None

    def _draft_s(self, drafter: str, verifier: str, kind: str) -> float | None:
        """Return the seconds of a token of the lowest drafter."""
        times = [one.draft_s_per_token for one in self._records(drafter, verifier)]
        if times:
            return min(times)
        learned = self._advice.find(drafter, verifier, kind)
        if learned is not None:
            return learned.draft_s_per_token
        step = self._step(drafter)
        if step is not None:
            return step(1)
        return 0.0 if drafter in self._fleet.local_tiers else None

    def _round_trip_s(self, drafter: str, verifier: str, length: int) -> float:
        trips = [
            one.latency_s - length * one.draft_s_per_token
            for one in self._records(drafter, verifier)
            if one.latency_s > 0
        ]
        return max(0.0, min(trips, default=0.0))

    def _records(self, drafter: str, verifier: str) -> Iterator[DrafterRecord]:
        for about in self._descriptions(verifier):
            yield from (one for one in about.drafters if one.drafter == drafter)

    def _descriptions(self, tier: str) -> list[TierDescription]:
        replicas = self._fleet.ready(tier) or self._fleet.of(tier)
        return [one.description for one in replicas if one.description is not None]


@dataclass(frozen=True)
class _Priced:
    """What a pass costs; waiting costs nothing."""

    step: _Step
    price: float

    def __call__(self, num_tokens: int) -> float:
        return self.price * _worked(self.step, num_tokens)


def _worked(step: _Step, num_tokens: int) -> float:
    return step(num_tokens) - step.wait_s


def _step_of(about: TierDescription) -> _Step:
    speed = about.speed
    waiting_s = speed.wait_s if about.num_sessions else 0.0
    return _Step(
        pass_s=speed.pass_s,
        pass_s_per_token=speed.pass_s_per_token,
        wait_s=max(waiting_s, about.num_waiting_passes * speed.pass_s),
        prompt_token_s=speed.prefill_s_per_token,
        load_s=about.load_s if about.residency is Residency.AWAY else 0.0,
    )


def _paths(plan: Plan) -> Iterator[tuple[Plan, ...]]:
    """Yield every way from the root to a lowest drafter: the first block to arrive is verified."""
    if not plan.drafters:
        yield (plan,)
    for drafter in plan.drafters:
        for below in _paths(drafter):
            yield (plan, *below)
