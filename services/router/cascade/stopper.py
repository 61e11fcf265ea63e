"""What decides in the middle of an answer whether a larger plan takes over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tiercel.replies import StageDecision, TokenEvidence
from tiercel.stopping.evidence import PREFIXES


@dataclass(frozen=True)
class StageState:
    """What is known at a check point of one answer."""

    stage: int  # how many decisions there were before
    plan_name: str  # that made the tokens
    check_point: int  # tokens that count; of an answer that is over all of them
    evidence: tuple[TokenEvidence, ...]  # one for each token that counts
    is_over: bool  # whether the answer is complete,
    has_ended: bool  # and whether it ended by itself
    available: tuple[str, ...]  # larger plans whose root takes work


class Stopper(Protocol):
    """Decides for one answer, and may remember what it saw of it.

    A decision hangs on nothing but the evidence up to a check point: not on how tokens came.
    """

    @property
    def plan_names(self) -> Sequence[str]:
        """The plans of the cascade, the cheapest first."""
        ...

    @property
    def check_points(self) -> Sequence[int]:
        """After how many tokens, in ascending order, it is asked; at an answer's end as well."""
        ...

    @property
    def recalls(self) -> bool:
        """Whether it may go back to an earlier plan's complete answer, at the end of another's."""
        ...

    def consider(self, state: StageState) -> StageDecision | None:
        """Return what to do now; None if no larger plan will be asked whatever comes.

        The next plan is one that is available, or an earlier one whose answer is complete.
        """
        ...


# Makes the stopper of one answer to a request of a kind.
Stoppers = Callable[[str], Stopper]


class MeanLogprobStopper:
    """Asks the next larger plan if the tokens were less likely, on average, than a threshold."""

    recalls = False

    def __init__(
        self,
        plan_names: Sequence[str],
        threshold: float,
        check_points: Sequence[int] = PREFIXES,
    ) -> None:
        """`threshold` is in nats: escalate below it."""
        self.plan_names, self.check_points = tuple(plan_names), tuple(check_points)
        self._threshold = threshold

    def consider(self, state: StageState) -> StageDecision | None:
        """Return whether the next larger plan takes over."""
        logprobs = [one.logprob for one in state.evidence]
        mean = sum(logprobs) / len(logprobs) if logprobs else 0.0
        goes_over = mean < self._threshold
        sign = "<" if goes_over else ">="
        return StageDecision(
            stage=state.stage,
            num_tokens=state.check_point,
            plan_name=state.plan_name,
            next_plan_name=state.available[0] if goes_over else "",
            propensity=1.0,
            expected_gain=0.0,
            expected_s=0.0,
            reason=f"mean log-probability {mean:.3f} {sign} {self._threshold:g}",
        )
