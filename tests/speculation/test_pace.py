"""Drafters of every kind over a simulated clock: none costs a parent much, good ones are used.

The clock counts plain steps of the parent; a prefill takes ten.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest

from tiercel.speculation.budget import LossBudget
from tiercel.speculation.chatter import Chatter
from tiercel.speculation.pace import Pace
from tiercel.speculation.step_times import StepTimes

PREFILL_S, WIDTH = 10.0, 4
TOKENS = 400
# Steps from the question to the block, and how many of its tokens stand, at a length.
Drafter = Callable[[int], tuple[float, int]]


class Parent:
    """A parent with one drafter, whose blocks are of no use once it went on without them."""

    def __init__(
        self, drafter: Drafter, *, row_s: float = 0.05, always: bool = False, budget: bool = True
    ) -> None:
        self._drafter, self._row_s = drafter, row_s
        self._pace = Pace(opened_at=0.0, always=always)
        self._steps, self._budget = StepTimes(), LossBudget(unlimited=always or not budget)
        self._arrives_at: float | None = None
        self._num_right = 0
        self.now, self.length = PREFILL_S, 1
        self.asked_at: list[int] = []
        self.num_drafted = 0

    def decode(self, num_tokens: int) -> float:
        """Decode so many tokens; return the time over that of plain decoding, prefill left out."""
        while self.length < num_tokens:
            self._step()
        return (self.now - PREFILL_S) / (self.length - 1)

    def _step(self) -> None:
        began, pace = self.now, self._pace
        self._receive()
        most = self._budget.affordable(self._steps, WIDTH)
        if most <= 0 or not self._steps.is_known or not pace.is_asked(self.length):
            self._plain()
            return
        plain_s = self._steps.plain_s
        is_due = pace.pays(plain_s, WIDTH + 1)
        self._ask()
        if not is_due:
            self._plain()
            return
        until = pace.wait_until(PREFILL_S, plain_s)
        until = min(until, self.now + self._budget.left_s(plain_s))
        width, num_tokens = 1, 1
        if self._comes_by(until):
            pace.arrived(self.now)
            self._arrives_at = None
            self.num_drafted += 1
            most = self._budget.affordable(self._steps, most, self.now - began)
            width, num_tokens = most + 1, min(self._num_right, most) + 1
        waited_s = self.now - began
        pass_s = self._pass(width, num_tokens)
        self._budget.spent(waited_s + pass_s, num_tokens, self._steps.plain_s, drafted=True)
        pace.round(waited_s + pass_s, num_tokens, self._steps.plain_s, self.length)

    def _plain(self) -> None:
        self._budget.spent(self._pass(1, 1), 1, self._steps.plain_s, drafted=False)

    def _pass(self, width: int, num_tokens: int) -> float:
        """Run the model over `width` tokens, of which so many stand; return the seconds."""
        seconds = 1.0 + (width - 1) * self._row_s
        self._steps.note(width, seconds)
        self.length += num_tokens
        self.now += seconds
        return seconds

    def _ask(self) -> None:
        if self._arrives_at is None:
            latency, self._num_right = self._drafter(self.length)
            self._arrives_at = self.now + latency
            self.asked_at.append(self.length)
        self._pace.asked(self.now)

    def _comes_by(self, until: float) -> bool:
        """Wait for the block up to a time; return whether it came."""
        assert self._arrives_at is not None
        self.now = max(self.now, min(until, self._arrives_at))
        return self._arrives_at <= self.now

    def _receive(self) -> None:
        """Take in a block that came while the parent went on: too late to be of use."""
        if self._arrives_at is not None and self._arrives_at <= self.now:
            self._pace.arrived(self._arrives_at)
            self._arrives_at = None


BAD = {
    "silent": lambda length: (math.inf, 0),
    "lying": lambda length: (0.1, 0),
    "lying slowly": lambda length: (2.0, 0),
    "slow": lambda length: (6.0, WIDTH),
    "very slow": lambda length: (30.0, WIDTH),
    "hardly any right": lambda length: (1.0, 1),
    "good, then silent": lambda length: (0.2, WIDTH) if length < 100 else (math.inf, 0),
    "good, then lying": lambda length: (0.2, WIDTH) if length < 100 else (0.2, 0),
    "slower and slower": lambda length: (length / 20, WIDTH),
    "by turns": lambda length: (0.1, WIDTH) if length % 2 else (6.0, 0),
}


LENGTHS = pytest.mark.parametrize("num_tokens", [64, 128, 400])


@LENGTHS
@pytest.mark.parametrize("row_s", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("drafter", BAD.values(), ids=BAD.keys())
def test_a_bad_drafter_leaves_at_least_85_percent_of_plain_decoding(drafter, row_s, num_tokens):
    assert Parent(drafter, row_s=row_s).decode(num_tokens) <= 1 / 0.85


def test_a_bad_drafter_costs_more_when_it_is_always_asked():
    """The control: what pace and budget are good for."""
    assert Parent(BAD["slow"], always=True).decode(TOKENS) > 1 / 0.85


@pytest.mark.parametrize("name", ["lying", "very slow", "by turns"])
def test_short_answers_need_the_budget(name):
    """The control: without it the first rounds alone cost more than is promised."""
    parent = Parent(BAD[name], row_s=1.0, budget=False)
    assert parent.decode(64) > 1 / 0.85


def test_a_good_drafter_is_used_at_every_step():
    parent = Parent(lambda length: (0.5, WIDTH))
    assert parent.decode(TOKENS) < 0.5
    assert parent.num_drafted >= TOKENS / (WIDTH + 1) - 2


def test_a_bad_drafter_is_probed_more_and_more_seldom():
    parent = Parent(BAD["lying"])
    parent.decode(2000)
    gaps = [later - sooner for sooner, later in pairwise(parent.asked_at)]
    pauses = [gap for gap in gaps if gap >= 16]
    assert len(pauses) >= 4
    assert all(later >= 2 * sooner - 4 for sooner, later in pairwise(pauses))


def test_a_drafter_that_mends_is_used_again():
    parent = Parent(lambda length: (0.5, WIDTH if length > 150 else 0))
    parent.decode(150)
    before = parent.num_drafted
    parent.decode(900)
    assert parent.num_drafted - before > 100


def test_a_drafter_may_chatter_a_while_and_for_ever_slowly():
    chatter = Chatter(0.0)
    assert not any(chatter.is_flood(0.0) for _ in range(100))
    assert chatter.is_flood(0.0)
    patient = Chatter(0.0)
    assert not any(patient.is_flood(second / 5) for second in range(10_000))


def test_blocks_that_bring_something_are_no_chatter():
    chatter = Chatter(0.0)
    for _ in range(10_000):
        assert not chatter.is_flood(0.0)
        chatter.useful()
