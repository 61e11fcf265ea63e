"""Drafters of every kind over a simulated clock: none costs a parent much, good ones are used.

The clock counts plain steps of the parent; a prefill takes ten.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.speculation.simulated_parent import WIDTH, Drafter, Parent
from tiercel.speculation.chatter import Chatter

TOKENS = 400


def fixed(answer: Callable[[int], tuple[float, int]]) -> Drafter:
    """A drafter whose latency and number of right tokens depend on the length alone."""
    return lambda length, number: (answer(length)[0], 0.0, answer(length)[1])


BAD = {
    "silent": fixed(lambda length: (math.inf, 0)),
    "lying": fixed(lambda length: (0.1, 0)),
    "lying slowly": fixed(lambda length: (2.0, 0)),
    "slow": fixed(lambda length: (6.0, WIDTH)),
    "very slow": fixed(lambda length: (30.0, WIDTH)),
    "hardly any right": fixed(lambda length: (1.0, 1)),
    "good, then silent": fixed(lambda length: (0.2, WIDTH) if length < 100 else (math.inf, 0)),
    "good, then lying": fixed(lambda length: (0.2, WIDTH) if length < 100 else (0.2, 0)),
    "slower and slower": fixed(lambda length: (length / 20, WIDTH)),
    "by turns": fixed(lambda length: (0.1, WIDTH) if length % 2 else (6.0, 0)),
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


def test_short_answers_need_the_budget():
    """The control: without it the first wait alone costs more than is promised."""
    assert Parent(BAD["very slow"], budget=False).decode(64) > 1 / 0.85


def test_a_good_drafter_is_used_at_every_step():
    parent = Parent(fixed(lambda length: (0.5, WIDTH)))
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
    parent = Parent(fixed(lambda length: (0.5, WIDTH if length > 150 else 0)))
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
