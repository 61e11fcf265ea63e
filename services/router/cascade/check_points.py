"""When the plan of an answer is called into question, and what was decided then."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from services.router.cascade.leg import Leg
from services.router.cascade.stopper import StageState, Stopper
from tiercel.replies import StageDecision
from tiercel.types import FinishReason

_BY_ITSELF = (FinishReason.STOP_TOKEN, FinishReason.STOP_STRING)
_CUT_OFF = (FinishReason.DEADLINE, FinishReason.CANCELLED)


class CheckPoints:
    """Asks the stopper of an answer, each time on the same evidence however the tokens came."""

    def __init__(
        self, stopper: Stopper | None, plan_name: str, takes_work: Callable[[str], bool]
    ) -> None:
        """Begin with a plan; without a stopper nothing is ever asked."""
        self.decisions: list[StageDecision] = []
        self._stopper, self._takes_work = stopper, takes_work
        self.begin(plan_name)

    @property
    def are_left(self) -> bool:
        """Whether the present plan may still be overruled."""
        return not self._is_settled

    def are_on(self, plan_name: str, complete: Collection[str] = ()) -> bool:
        """Return whether a plan's answer is looked at, and so its evidence wanted.

        `complete` names earlier plans whose answers are complete: one may be gone back to.
        """
        if self._stopper is None or plan_name not in self._stopper.plan_names:
            return False
        return bool(self._larger(plan_name)) or (self._stopper.recalls and bool(complete))

    def begin(self, plan_name: str, complete: Collection[str] = ()) -> None:
        """Look at the answer of another plan from its first token on."""
        self._num_behind = 0
        self._is_settled = not self.are_on(plan_name, complete)

    def settle(self) -> None:
        """Leave the present plan alone."""
        self._is_settled = True

    def decide(self, leg: Leg, complete: Collection[str]) -> StageDecision | None:
        """Return the decision that another plan takes over, if there is one by now."""
        for check_point in self._reached(leg):
            found = self._considered(leg, check_point, complete)
            if found is None:
                self._is_settled = True
                return None
            self.decisions.append(found)
            if found.next_plan_name:
                return found
        return None

    def failed(self, why: str) -> None:
        """Note that the plan which was to take over could not."""
        self.decisions[-1] = replace(self.decisions[-1], next_plan_name="", forced=why)

    def forced(self, leg: Leg, next_plan_name: str, why: str) -> StageDecision:
        """Note a change that nobody chose, or that none was possible."""
        decision = StageDecision(
            stage=len(self.decisions),
            num_tokens=leg.num_tokens,
            plan_name=leg.plan_name,
            next_plan_name=next_plan_name,
            propensity=1.0,
            expected_gain=0.0,
            expected_s=0.0,
            reason=why,
            forced=why,
        )
        self.decisions.append(decision)
        return decision

    def _reached(self, leg: Leg) -> Iterator[int | None]:
        """Yield the check points that are reached and not behind, None for the answer's end."""
        if self._stopper is None or self._is_settled:
            return
        points = self._stopper.check_points if self._larger(leg.plan_name) else ()
        while self._num_behind < len(points) and points[self._num_behind] <= leg.num_tokens:
            self._num_behind += 1
            yield points[self._num_behind - 1]
        if leg.end is not None:
            self._is_settled = True
            if leg.end.reason not in _CUT_OFF:
                yield None

    def _considered(
        self, leg: Leg, check_point: int | None, complete: Collection[str]
    ) -> StageDecision | None:
        assert self._stopper is not None
        available = tuple(name for name in self._larger(leg.plan_name) if self._takes_work(name))
        number = leg.num_tokens if check_point is None else check_point
        if len(leg.evidence) < number:
            self.forced(leg, "", f"{leg.plan_name} does not say how sure it is")
            return None
        if not available and not (self._stopper.recalls and complete):
            self.forced(leg, "", "no larger plan takes work")
            return None
        return self._stopper.consider(
            StageState(
                stage=len(self.decisions),
                plan_name=leg.plan_name,
                check_point=number,
                evidence=tuple(leg.evidence[:number]),
                is_over=check_point is None,
                has_ended=leg.end is not None
                and leg.end.reason in _BY_ITSELF
                and leg.num_tokens <= number,
                available=available,
            )
        )

    def _larger(self, plan_name: str) -> tuple[str, ...]:
        assert self._stopper is not None
        names = tuple(self._stopper.plan_names)
        return names[names.index(plan_name) + 1 :]
