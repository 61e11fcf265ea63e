"""What `tiercel plan` is told of tiers and pairs, from answers under pairs of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tiercel.plan_costs import Measurements, PairRate, TierTimes
from tiercel.types import Plan, Usage

LENGTHS = (2, 8)  # of blocks, on either side of those that are predicted
_WIDE = 9  # tokens of a pass, far enough from 1 to draw a line


@dataclass(frozen=True)
class Sample:
    """One answer: what it took its client, and what its tiers did."""

    turn: int
    plan: Plan
    seconds: float
    first_s: float  # until the first token
    usage: Usage

    @property
    def num_tokens(self) -> int:
        """Tokens of the answer; the first is the prompt's last pass's."""
        return self.usage.num_completion_tokens

    @property
    def rest_s(self) -> float:
        """Seconds after the first token."""
        return self.seconds - self.first_s

    @property
    def num_passes(self) -> int:
        """Passes of the root after its prompt."""
        own = (one for one in self.usage.tiers if one.tier == self.plan.tier)
        return max(0, sum(one.num_forward_passes for one in own) - 1)

    @property
    def compute_s(self) -> float:
        """Seconds of these passes."""
        return sum(one.compute_s for one in self.usage.tiers if one.tier == self.plan.tier)


@dataclass
class Drafted:
    """What a drafter did for one root, summed."""

    blocks: int = 0
    tokens: int = 0
    accepted: int = 0
    rejected: int = 0
    compute_s: float = 0.0


def pairs_of(plans: Iterable[Plan]) -> list[tuple[str, str]]:
    """Return every verifier and drafter that are neighbours in plans of one drafter a tier."""
    found = [both for plan in plans for both in pairwise(part.tier for part in plan.walk())]
    return list(dict.fromkeys(found))


def training_plans(plans: Sequence[Plan]) -> list[Plan]:
    """Return what is asked to know these plans' tiers: verifiers alone, and with each drafter."""
    pairs = pairs_of(plans)
    roots = dict.fromkeys([*(plan.tier for plan in plans), *(verifier for verifier, _ in pairs)])
    two = [
        Plan(verifier, drafters=(Plan(drafter, num_speculative_tokens=length),))
        for verifier, drafter in pairs
        for length in LENGTHS
    ]
    return [*(Plan(root) for root in roots), *two]


def measurements(samples: Sequence[Sample]) -> Measurements:
    """Return what answers under `training_plans` say of each tier and pair."""
    roots = dict.fromkeys(sample.plan.tier for sample in samples)
    tiers: dict[str, TierTimes] = {}
    pairs, drafted_s = list[PairRate](), defaultdict[str, list[tuple[float, int]]](list)
    for root in roots:
        own = [sample for sample in samples if sample.plan.tier == root]
        alone = [sample for sample in own if not sample.plan.drafters]
        tiers[root] = _times(alone, own)
        for drafter in dict.fromkeys(one.plan.drafters[0].tier for one in own if one.plan.drafters):
            ours = [
                one for one in own if one.plan.drafters and one.plan.drafters[0].tier == drafter
            ]
            total = _total(ours)
            drafted_s[drafter].append((total.compute_s, total.tokens))
            pairs.append(_pair(ours, total, tiers[root]))
    for drafter, times in drafted_s.items():
        token_s = sum(seconds for seconds, _ in times) / max(1, sum(count for _, count in times))
        known = tiers.get(drafter, TierTimes())
        tiers[drafter] = known.model_copy(update={"token_s": token_s})
    return Measurements(tiers=tiers, pairs=tuple(pairs))


def _times(alone: Sequence[Sample], own: Sequence[Sample]) -> TierTimes:
    """Return a root's times: of prompts on a line, of passes on another."""
    prompts = np.array([one.usage.num_prompt_tokens for one in alone], float)
    firsts = np.array([one.first_s for one in alone])
    spread = float(((prompts - prompts.mean()) ** 2).sum())
    slope = float(((prompts - prompts.mean()) * firsts).sum()) / spread if spread else 0.0
    slope = max(0.0, slope)
    plain_s = sum(one.rest_s for one in alone) / max(1, sum(one.num_tokens - 1 for one in alone))
    return TierTimes(
        step_s={1: plain_s, _WIDE: plain_s + (_WIDE - 1) * _row_s(own)},
        prefill_s_per_token=slope,
        queue_s=max(0.0, float(firsts.mean() - slope * prompts.mean())),
    )


def _row_s(own: Sequence[Sample]) -> float:
    """Return the seconds of each further token of a pass, by least squares over answers."""
    passes = np.array([one.num_passes for one in own], float)
    rows = np.array([_total([one]).tokens for one in own], float)
    compute = np.array([one.compute_s for one in own])
    found, *_ = np.linalg.lstsq(np.stack([passes, rows], axis=1), compute, rcond=None)
    return max(0.0, float(found[1]))


def _total(samples: Iterable[Sample]) -> Drafted:
    total = Drafted()
    for sample in samples:
        for pair in sample.usage.pairs:
            if pair.verifier == sample.plan.tier:
                total.blocks += pair.num_drafts
                total.tokens += pair.num_draft_tokens
                total.accepted += pair.num_accepted_tokens
                total.rejected += pair.num_rejected_tokens
                total.compute_s += pair.draft_compute_s
    return total


def _pair(samples: Sequence[Sample], total: Drafted, root: TierTimes) -> PairRate:
    passes = sum(one.num_passes for one in samples)
    step = root.step()
    row_s = (step(_WIDE) - step(1)) / (_WIDE - 1)
    known_s = passes * step(1) + total.tokens * row_s + total.compute_s
    return PairRate(
        drafter=samples[0].plan.drafters[0].tier,
        verifier=samples[0].plan.tier,
        acceptance_rate=total.accepted / max(1, total.accepted + total.rejected),
        round_trip_s=max(0.0, sum(one.rest_s for one in samples) - known_s) / max(1, passes),
        start_rate=min(1.0, total.blocks / max(1, passes)),
        continue_rate=_continue_rate(samples),
    )


def _continue_rate(samples: Sequence[Sample]) -> float:
    """Return the rate with which drafts of those block lengths have as many tokens as they had."""
    by_length = defaultdict[int, list[Sample]](list)
    for one in samples:
        by_length[one.plan.drafters[0].num_speculative_tokens].append(one)
    totals = {length: _total(ours) for length, ours in by_length.items()}
    tokens, low, high = sum(one.tokens for one in totals.values()), 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        expected = sum(
            one.blocks * sum(middle**place for place in range(length))
            for length, one in totals.items()
        )
        low, high = (middle, high) if expected < tokens else (low, middle)
    return high
