"""A parent with one drafter on a simulated clock, which counts plain steps of the parent."""

from collections.abc import Callable

from tiercel.speculation.budget import LossBudget
from tiercel.speculation.length import Costs, Length
from tiercel.speculation.pace import Pace
from tiercel.speculation.step_times import StepTimes

PREFILL_S, WIDTH = 10.0, 4
# From the length of the sequence and the number of tokens asked for: steps from the question to
# the block, how many of them the drafter computes, and how many of the block's tokens stand.
Drafter = Callable[[int, int], tuple[float, float, int]]


class Parent:
    """A parent with one drafter, whose blocks are of no use once it went on without them."""

    def __init__(
        self,
        drafter: Drafter,
        *,
        row_s: float = 0.05,
        most: int = WIDTH,
        always: bool = False,
        budget: bool = True,
    ) -> None:
        self._drafter, self.row_s, self._most, self._always = drafter, row_s, most, always
        self._length = Length()
        self._pace = Pace(opened_at=0.0, always=always)
        self._steps, self._budget = StepTimes(), LossBudget(unlimited=always or not budget)
        self._arrives_at: float | None = None
        self._num_right, self._compute_s, self._num_drafted = 0, 0.0, 0
        self.now, self.length = PREFILL_S, 1
        self.asked_at: list[int] = []
        self.widths: list[int] = []  # of every pass

    def decode(self, num_tokens: int) -> float:
        """Decode so many tokens; return the time over that of plain decoding, prefill left out."""
        while self.length < num_tokens:
            self._step()
        return (self.now - PREFILL_S) / (self.length - 1)

    @property
    def num_drafted(self) -> int:
        """Passes that verified something."""
        return sum(width > 1 for width in self.widths)

    def _step(self) -> None:
        began, pace = self.now, self._pace
        self._receive()
        number = self._wanted()
        if number == 0:
            self._plain()
            return
        plain_s = self._steps.plain_s
        is_due = pace.pays(plain_s, number + 1)
        self._ask(number)
        if not is_due:
            self._plain()
            return
        until = pace.wait_until(PREFILL_S, plain_s)
        until = min(until, self.now + self._budget.left_s(plain_s))
        width, num_tokens = 1, 1
        if self._comes_by(until):
            self._arrived(self.now)
            most = self._budget.affordable(self._steps, self._num_drafted, self.now - began)
            num_right = min(self._num_right, most)
            self._length.judged(num_right, int(num_right < most))
            width, num_tokens = most + 1, num_right + 1
        waited_s = self.now - began
        pass_s = self._pass(width, num_tokens)
        self._budget.spent(waited_s + pass_s, num_tokens, self._steps.plain_s, drafted=True)
        pace.round(waited_s + pass_s, num_tokens, self._steps.plain_s, self.length)

    def _wanted(self) -> int:
        most = self._budget.affordable(self._steps, self._most)
        if not self._steps.is_known or not self._pace.is_asked(self.length):
            return 0
        if self._always or most == 0:
            return most
        costs = Costs(self._steps, self._budget.left_s(self._steps.plain_s))
        number = self._length.choose(costs, most, on_trial=self._pace.is_on_trial)
        if number == 0:
            self._pace.rest(self.length)
            self._length.rested()
        return number

    def _plain(self) -> None:
        self._budget.spent(self._pass(1, 1), 1, self._steps.plain_s, drafted=False)

    def _pass(self, width: int, num_tokens: int) -> float:
        """Run the model over `width` tokens, of which so many stand; return the seconds."""
        seconds = 1.0 + (width - 1) * self.row_s
        self.widths.append(width)
        self._steps.note(width, seconds)
        self.length += num_tokens
        self.now += seconds
        return seconds

    def _ask(self, number: int) -> None:
        if self._arrives_at is None:
            latency_s, self._compute_s, self._num_right = self._drafter(self.length, number)
            self._arrives_at, self._num_drafted = self.now + latency_s, number
            self.asked_at.append(self.length)
        self._pace.asked(self.now)

    def _arrived(self, now: float) -> None:
        latency_s = self._pace.arrived(now)
        if latency_s is not None:
            self._length.arrived(latency_s, self._compute_s, self._num_drafted)
        self._arrives_at = None

    def _comes_by(self, until: float) -> bool:
        """Wait for the block up to a time; return whether it came."""
        assert self._arrives_at is not None
        self.now = max(self.now, min(until, self._arrives_at))
        return self._arrives_at <= self.now

    def _receive(self) -> None:
        """Take in a block that came while the parent went on: too late to be of use."""
        if self._arrives_at is not None and self._arrives_at <= self.now:
            self._arrived(self._arrives_at)
