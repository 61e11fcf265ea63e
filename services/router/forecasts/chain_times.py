"""What a plan takes by what its tiers measure: step times, acceptance, waits, round trips."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from services.router.fleet import Fleet
from services.router.forecasts.learned_speeds import LearnedSpeeds
from services.router.forecasts.plan_times import PlanTimes, Priced, Step, step_of, worked
from services.router.learning.learned import Advice
from tiercel.decoding.chain_cost import Level
from tiercel.decoding.chain_time import Chain, seconds_per_token
from tiercel.descriptions import DrafterRecord, TierDescription
from tiercel.replies import ReplicaState
from tiercel.routing.likeness import Likeness
from tiercel.types import PairStats, Plan

# With fewer judged tokens a rate is chance.
_MIN_JUDGED = 20
_LOOKUP = "suffix"  # the engine without a model


class ChainTimes:
    """Predicts from what is known now. What is not known makes a plan's times unknown."""

    def __init__(self, fleet: Fleet, advice: Advice, prices: Mapping[str, float]) -> None:
        self._fleet = fleet
        self._advice = advice
        self._prices = prices
        self._likeness = Likeness()
        self._learned = LearnedSpeeds(fleet, advice)

    def compared(self, pairs: Sequence[PairStats]) -> None:
        """Take in how far tiers' distributions lay apart in an answer."""
        for pair in pairs:
            if pair.num_compared:
                distance = pair.total_variation / pair.num_compared
                self._likeness.compared(pair.drafter, pair.verifier, distance)

    def of(self, plan: Plan, kind: str, predicted: Mapping[str, float]) -> PlanTimes | None:
        """Return the times of the plan's quickest chain; None if some part was never measured.

        A part with an address is priced as that replica, others as the quickest of their tier.
        `predicted` are acceptance rates of this prompt, by "drafter under verifier", for pairs that
        were not tried of late.
        """
        root = self._step(plan)
        if root is None:
            return None
        paths = list(self._paths(plan))
        chains = [(self._chain(path, kind, predicted), path) for path in paths]
        known = [(*chain, self._late_s(path)) for chain, path in chains if chain is not None]
        if not known:
            return None
        token_s, token_cost, late_s = min(known)
        price = self._prices.get(plan.tier, 1.0)
        return PlanTimes(
            begin_s=root.load_s + root.begin_s + (root.wait_s if root.prompt_token_s else root(1)),
            prompt_token_s=root.prompt_token_s,
            token_s=token_s,
            prompt_token_cost=root.prompt_token_s * price,
            token_cost=token_cost,
            alone_token_s=root(1),
            late_s=late_s,
        )

    def prompt_s(self, part: Plan, num_tokens: float) -> float:
        """Return the seconds in which a part reads a text; 0 if that was never measured."""
        step = self._step(part)
        return 0.0 if step is None else step.prompt_token_s * num_tokens

    def _late_s(self, path: Sequence[Plan]) -> float:
        steps = (self._step(part) for part in path[1:])
        return max((step.load_s for step in steps if step is not None), default=0.0)

    def _chain(
        self, path: Sequence[Plan], kind: str, predicted: Mapping[str, float]
    ) -> tuple[float, float] | None:
        """Return a token's seconds and cost under one chain, the root first."""
        if len(path) == 1 or path[1].num_speculative_tokens == 0:
            step = self._step(path[0])
            return None if step is None else (step(1), self._price(path[0]) * worked(step, 1))
        levels, priced = [], []
        for verifier, drafter in reversed(list(pairwise(path))):
            step = self._step(verifier)
            rate = self._acceptance(drafter.tier, verifier, kind, predicted)
            if step is None or rate is None:
                return None
            length = drafter.num_speculative_tokens
            trip_s = self._round_trip_s(drafter.tier, verifier, length)
            proposes = self._proposal_rates(drafter.tier, verifier)
            levels.append(Level(step, rate, trip_s, *proposes))
            priced.append(Level(Priced(step, self._price(verifier)), rate, 0.0, *proposes))
        draft_s = self._draft_s(path[-1], path[-2], kind)
        if draft_s is None:
            return None
        lengths = tuple(part.num_speculative_tokens for part in reversed(path[1:]))
        seconds = seconds_per_token(Chain(draft_s, tuple(levels), lengths))
        cost = Chain(draft_s * self._price(path[-1]), tuple(priced), lengths)
        return seconds, seconds_per_token(cost)

    def _price(self, part: Plan) -> float:
        return self._prices.get(part.tier, 1.0)

    def _step(self, part: Plan) -> Step | None:
        """Return the times of the tier's replica that would be quickest now."""
        found = [step_of(about) for about in self._descriptions(part) if about.speed.pass_s > 0]
        if found:
            return min(found, key=lambda step: step.load_s + step(1))
        return self._learned.step(part.tier)

    def _acceptance(
        self, drafter: str, parent: Plan, kind: str, predicted: Mapping[str, float]
    ) -> float | None:
        """Return the rate: learned of this kind, of late, learned of all, predicted, a prior."""
        verifier = parent.tier
        learned = self._advice.find(drafter, verifier, kind)
        if learned is not None and learned.num_judged_tokens < _MIN_JUDGED:
            learned = None
        if learned is not None and learned.kind:
            return learned.acceptance_rate
        live = self._live_rate(drafter, parent)
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

    def _live_rate(self, drafter: str, parent: Plan) -> float | None:
        records = list(self._records(drafter, parent))
        judged = sum(map(_num_judged, records))
        accepted = sum(one.num_accepted_tokens for one in records)
        return accepted / judged if judged >= _MIN_JUDGED else None

    def _draft_s(self, drafter: Plan, parent: Plan, kind: str) -> float | None:
        """Return the seconds of a token of the lowest drafter."""
        records = list(self._records(drafter.tier, parent))
        times = [one.draft_s_per_token for one in records]
        step = self._step(drafter)
        if times and (step is None or any(_num_judged(one) >= _MIN_JUDGED for one in records)):
            return min(times)
        if step is not None:
            return step(1)
        learned = self._advice.find(drafter.tier, parent.tier, kind)
        if learned is not None and learned.draft_s_per_token > 0:  # else it is not known
            return learned.draft_s_per_token
        return 0.0 if self._looks_up(drafter) else None

    def _looks_up(self, drafter: Plan) -> bool:
        """Return whether a drafter has no model, so that its time is next to none."""
        if drafter.tier in self._fleet.local_tiers:
            return True
        return any(about.engine == _LOOKUP for about in self._descriptions(drafter))

    def _round_trip_s(self, drafter: str, parent: Plan, length: int) -> float:
        trips = [
            one.latency_s - length * one.draft_s_per_token
            for one in self._records(drafter, parent)
            if one.latency_s > 0
        ]
        return max(0.0, min(trips, default=0.0))

    def _proposal_rates(self, drafter: str, parent: Plan) -> tuple[float, float]:
        """Return how often there is a first token, and then one more; always, where not known."""
        records = list(self._records(drafter, parent))
        if not records:
            return 1.0, 1.0
        known = max(records, key=_num_judged)
        return known.start_rate or 1.0, known.continue_rate or 1.0

    def _records(self, drafter: str, parent: Plan) -> Iterator[DrafterRecord]:
        for about in self._descriptions(parent):
            yield from (one for one in about.drafters if one.drafter == drafter)

    def _descriptions(self, part: Plan) -> list[TierDescription]:
        picked = self._fleet.find(part.tier, part.address) if part.address else None
        if picked is not None and picked.description is not None:
            return [picked.description]
        replicas = self._fleet.ready(part.tier) or self._fleet.of(part.tier)
        return [one.description for one in replicas if one.description is not None]

    def _paths(self, plan: Plan) -> Iterator[tuple[Plan, ...]]:
        """Yield every way from the root to a lowest drafter that takes work.

        The first block to arrive is verified; a tier whose drafters are all lost does without.
        """
        drafters = [drafter for drafter in plan.drafters if self._takes_work(drafter)]
        if not drafters:
            yield (plan,)
        for drafter in drafters:
            for below in self._paths(drafter):
                yield (plan, *below)

    def _takes_work(self, part: Plan) -> bool:
        picked = self._fleet.find(part.tier, part.address) if part.address else None
        if picked is not None:
            return picked.state is ReplicaState.READY
        return bool(self._fleet.ready(part.tier)) or not self._fleet.of(part.tier)


def _num_judged(record: DrafterRecord) -> float:
    return record.num_accepted_tokens + record.num_rejected_tokens
