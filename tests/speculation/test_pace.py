"""Drafters of every kind over a simulated clock: none costs a parent much, good ones are used.

The clock counts plain steps of the parent; a prefill takes ten.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest

from tiercel.speculation.chatter import Chatter
from tiercel.speculation.pace import Pace

PREFILL_S, WIDTH = 10.0, 4
TOKENS = 400
# Steps from the question to the block, and how many of its tokens stand, at a length.
Drafter = Callable[[int], tuple[float, int]]


class Parent:
    """A parent with one drafter, whose blocks are of no use once it went on without them."""

    def __init__(self, drafter: Drafter, *, row_s: float = 0.05, always: bool = False) -> None:
        self._drafter, self._row_s = drafter, row_s
        self._pace = Pace(opened_at=0.0, always=always)
        self._arrives_at: float | None = None
        self._num_right = 0
        self.now, self.length = PREFILL_S, 1
        self.asked_at: list[int] = []
        self.num_drafted = 0

    def decode(self, num_tokens: int) -> float:
        """Decode so many tokens; return the time over that of plain decoding."""
        while self.length < num_tokens:
            self._step()
        return self.now / (PREFILL_S + self.length - 1)

    def _step(self) -> None:
        began, pace = self.now, self._pace
        self._receive()
        if not pace.is_asked(self.length):
            self._commit(1, 1.0)
            return
        is_due = pace.pays(1.0, WIDTH + 1)
        self._ask()
        if is_due and not self._comes_by(pace.wait_until(PREFILL_S, 1.0)):
            self._commit(1, 1.0)
            pace.round(self.now - began, 1, 1.0, self.length)
        elif is_due:
            pace.arrived(self.now)
            self._arrives_at = None
            self.num_drafted += 1
            self._commit(self._num_right + 1, 1.0 + WIDTH * self._row_s)
            pace.round(self.now - began, self._num_right + 1, 1.0, self.length)
        else:
            self._commit(1, 1.0)

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

    def _commit(self, num_tokens: int, seconds: float) -> None:
        self.length += num_tokens
        self.now += seconds


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


@pytest.mark.parametrize("drafter", BAD.values(), ids=BAD.keys())
def test_a_bad_drafter_leaves_at_least_85_percent_of_plain_decoding(drafter):
    assert Parent(drafter).decode(TOKENS) <= 1 / 0.85


def test_a_bad_drafter_costs_more_when_it_is_always_asked():
    """The control: what the pace is good for."""
    assert Parent(BAD["slow"], always=True).decode(TOKENS) > 1 / 0.85


def test_a_model_whose_rows_all_cost_the_same_is_spared_as_well():
    assert Parent(BAD["lying"], row_s=1.0).decode(TOKENS) <= 1 / 0.85


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
