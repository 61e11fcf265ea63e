"""A stopper that goes by fitted stopping policies, one for each check point."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.router.cascade.stopper import StageState, Stoppers
from services.router.forecasts.trained_start import TrainedStart
from tiercel.errors import ModelUnavailable
from tiercel.plan_text import Outline
from tiercel.replies import StageDecision
from tiercel.routing.cascade import Ahead
from tiercel.stopping import policy_file
from tiercel.stopping.evidence import EVIDENCE_NAMES, evidence_vector
from tiercel.stopping.policy import GoOn, Stop, StoppingPolicy

# Seconds before a plan begins, by its name.
Waits = Callable[[str], float]


class TrainedStopper:
    """Asks, for one answer, the policy of the check point that is reached."""

    def __init__(
        self,
        policies: Sequence[StoppingPolicy],
        plan_names: Sequence[str],
        kind: str,
        waits: Waits,
    ) -> None:
        """`plan_names` are the plans that the policies' stages stand for."""
        self.plan_names, self._waits = tuple(plan_names), waits
        self._policies = {policy.prefix_tokens: policy for policy in policies}
        self.check_points = tuple(sorted(point for point in self._policies if point is not None))
        self._kind = kind
        self._best: tuple[float, str] | None = None  # complete answer so far: score and plan
        self.recalls = any(policy.recall for policy in policies)

    def consider(self, state: StageState) -> StageDecision | None:
        """Return what the policy says; None behind the last check point that has one."""
        policy = self._policy(state)
        if policy is None:
            return None
        stage, evidence = self.plan_names.index(state.plan_name), _evidence(state)
        best = self._best[0] if self._best is not None and policy.recall else None
        seconds = self._seconds(policy, stage, state.available)
        found = policy.decide(stage, evidence, self._kind, best, seconds)
        decision = self._decision(state, found)
        own = policy.scores.score(stage, evidence[None], (self._kind,))
        if state.is_over and (self._best is None or float(own[0]) > self._best[0]):
            self._best = float(own[0]), state.plan_name
        return decision

    def _seconds(
        self, policy: StoppingPolicy, stage: int, available: Sequence[str]
    ) -> dict[int, float]:
        """Return what each later stage would take now; infinite for one that takes no work."""
        found = {}
        for each in policy.continuations:
            name = self.plan_names[each.following]
            if each.stage == stage and name in available:
                usual = each.kind_seconds.get(self._kind, each.mean_seconds)
                found[each.following] = usual + self._waits(name)
            elif each.stage == stage:
                found[each.following] = float("inf")
        return found

    def _policy(self, state: StageState) -> StoppingPolicy | None:
        """Return who decides: of an answer that is over, the next check point if no other does."""
        if not state.is_over:
            return self._policies.get(state.check_point)
        later = (point for point in self.check_points if point > state.check_point)
        return self._policies.get(None) or self._policies.get(next(later, None))

    def _decision(self, state: StageState, found: Stop | GoOn) -> StageDecision:
        following = ""
        if isinstance(found, GoOn):
            following = self.plan_names[found.following]
        elif found.keeps_earlier and self._best is not None:
            following = self._best[1]
        return StageDecision(
            stage=state.stage,
            num_tokens=state.check_point,
            plan_name=state.plan_name,
            next_plan_name=following,
            propensity=1.0,
            expected_gain=found.gain,
            expected_s=found.seconds,
            reason=found.explanation,
        )


@dataclass(frozen=True, eq=False)
class Cascaded:
    """Stopping policies of one cascade, one for each check point, and its plans by stage."""

    policies: tuple[StoppingPolicy, ...]
    plan_names: tuple[str, ...]

    def stoppers(self, waits: Waits = lambda _: 0.0) -> Stoppers:
        """Return what makes the stopper of an answer.

        `waits` says how long a plan's root would keep a request waiting now, on top of its work.
        """
        return lambda kind: TrainedStopper(self.policies, self.plan_names, kind, waits)

    def ahead(self) -> Ahead:
        """Return what says where a cascade begins."""
        return TrainedStart(self.policies, self.plan_names)


def trained_cascade(path: Path, plans: Mapping[str, Outline]) -> Cascaded:
    """Return the policies in a file or a folder of them.

    A stage is the plan of its name, or else the first plan whose root is the tier of its name.
    Raises ModelUnavailable for a file that is none, policies that do not fit together, or a stage
    that is no plan here.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    policies = [policy_file.load(file, evidence_names=EVIDENCE_NAMES) for file in files]
    if not policies:
        raise ModelUnavailable(f"{path}: there is no stopping policy, NAME.json, in this folder")
    stages = policies[0].stages
    if any(policy.stages != stages for policy in policies):
        raise ModelUnavailable(f"{path}: the policies are of different stages")
    if len({policy.prefix_tokens for policy in policies}) < len(policies):
        raise ModelUnavailable(f"{path}: two policies are of one check point")
    return Cascaded(tuple(policies), tuple(_plan_of(stage, plans, path) for stage in stages))


def _plan_of(stage: str, plans: Mapping[str, Outline], path: Path) -> str:
    if stage in plans:
        return stage
    for name, outline in plans.items():
        if outline.tier == stage:
            return name
    known = ", ".join(plans)
    raise ModelUnavailable(f"{path}: no plan is or answers by {stage!r}; the plans are {known}")


def _evidence(state: StageState) -> NDArray[np.float64]:
    told = state.evidence
    return evidence_vector(
        [one.logprob for one in told],
        [one.entropy for one in told],
        [one.margin for one in told],
        finished=state.has_ended,
    )
