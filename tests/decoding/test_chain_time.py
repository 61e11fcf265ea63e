"""What a chain is predicted to take, against tiers that really draft, judge and roll back."""

import itertools
import random
from dataclasses import dataclass, field

import pytest

from tiercel.decoding.chain_cost import Level, cost_per_token
from tiercel.decoding.chain_time import (
    Beginning,
    Chain,
    best_chain,
    predicted_seconds,
    run_seconds,
    seconds_per_token,
)


def slow(num_tokens: int) -> float:
    return 0.040 + 0.008 * num_tokens


def quick(num_tokens: int) -> float:
    return 0.010 + 0.002 * num_tokens


TOP, MIDDLE = Level(slow, 0.8, round_trip_s=0.003), Level(quick, 0.6, round_trip_s=0.001)
LOOK_UP = Level(quick, 0.7, round_trip_s=0.001, start_rate=0.4, continue_rate=0.8)
CHAINS = {
    "two levels": Chain(0.004, (TOP,), (4,)),
    "one token a block": Chain(0.004, (TOP,), (1,)),
    "never right": Chain(0.004, (Level(slow, 0.0),), (3,)),
    "always right": Chain(0.004, (Level(slow, 1.0, 0.01),), (5,)),
    "three levels": Chain(0.001, (MIDDLE, TOP), (3, 6)),
    "a middle of short blocks": Chain(0.001, (MIDDLE, TOP), (6, 2)),
    "a middle that decodes plainly": Chain(0.001, (MIDDLE, TOP), (0, 4)),
    "has a draft in some places": Chain(0.004, (LOOK_UP,), (6,)),
    "a middle with look-ups": Chain(0.0005, (LOOK_UP, TOP), (4, 5)),
    "four levels": Chain(0.0005, (Level(quick, 0.5), MIDDLE, TOP), (2, 4, 8)),
}


@dataclass
class Tier:
    """Says, after each prefix, a token of its own: as often its parent's as the rate says."""

    rate: float  # of agreement with the parent
    step_s: object
    round_trip_s: float = 0.0
    length: int = 0
    drafter: "Tier | None" = None
    parent: "Tier | None" = None
    rates: tuple[float, float] = (1.0, 1.0)  # of a draft's first token, and of each further one
    said: dict[int, int] = field(default_factory=dict)

    def token(self, place: int, dice: random.Random) -> int:
        """The token at a place; what was said once of it is said again."""
        if place not in self.said:
            above = self.parent.token(place, dice) if self.parent else dice.randrange(1 << 30)
            agrees = self.parent is None or dice.random() < self.rate
            self.said[place] = above if agrees else -above - 1
        return self.said[place]

    def forget(self) -> None:
        """The text is another now from where the parent is; what is before that is settled."""
        self.said = {}
        if self.drafter:
            self.drafter.forget()

    def size(self, most: int, dice: random.Random) -> int:
        """How many of so many tokens it has something to say of."""
        first, more = self.rates
        chances = itertools.chain([first], itertools.repeat(more, most - 1))
        return sum(1 for _ in itertools.takewhile(lambda chance: dice.random() < chance, chances))

    def produce(self, place: int, count: int, clock: list[float], dice: random.Random) -> list[int]:
        """Return the tokens from a place on; what they take is added to a clock."""
        text: list[int] = []
        while len(text) < count:
            here = place + len(text)
            block = min(self.length, count - len(text) - 1) if self.drafter else 0
            draft: list[int] = []
            if block:
                draft = self.drafter.produce(here, self.drafter.size(block, dice), clock, dice)
                clock[0] += self.round_trip_s
            clock[0] += self.step_s(len(draft) + 1)
            for drafted in [*draft, None]:
                text.append(self.token(place + len(text), dice))
                if drafted != text[-1]:
                    break
            if self.drafter:
                self.drafter.forget()
        return text


def tiers(chain: Chain) -> Tier:
    """Return the top of the chain's tiers."""
    rates = [level.acceptance_rate for level in chain.levels]
    lowest = Tier(rates[0], lambda _: chain.draft_s)
    for level, length, rate in zip(chain.levels, chain.lengths, [*rates[1:], 1.0], strict=True):
        parent = Tier(rate, level.step_s, level.round_trip_s, length, lowest)
        lowest.parent, lowest.rates = parent, (level.start_rate, level.continue_rate)
        lowest = parent
    return lowest


def simulated(chain: Chain, num_tokens: int, num_answers: int) -> float:
    """Seconds of an answer, the mean of many."""
    dice, clock = random.Random(7), [0.0]
    for _ in range(num_answers):
        top = tiers(chain)
        top.produce(0, num_tokens, clock, dice)
    return clock[0] / num_answers


@pytest.mark.parametrize("name", CHAINS)
def test_an_answer_takes_what_tiers_that_roll_back_take(name: str):
    chain = CHAINS[name]
    for num_tokens, num_answers in ((2, 3000), (7, 1500), (60, 250)):
        expected = simulated(chain, num_tokens, num_answers)
        assert run_seconds(chain, num_tokens)[num_tokens] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("name", CHAINS)
def test_a_token_of_a_long_answer_costs_what_it_takes_there(name: str):
    chain = CHAINS[name]
    expected = simulated(chain, 10_000, 1) / 10_000
    assert seconds_per_token(chain) == pytest.approx(expected, rel=0.02)


def test_a_formula_without_the_ends_of_runs_is_off_by_more():
    """Negative control: the middle tier's last token of each run has no draft."""
    chain = CHAINS["a middle of short blocks"]
    nested = cost_per_token(TOP, cost_per_token(MIDDLE, chain.draft_s, 6), 2)
    assert abs(nested / (simulated(chain, 10_000, 1) / 10_000) - 1) > 0.02


def test_two_levels_without_end_cost_what_chain_cost_says():
    for length in (1, 3, 8):
        chain = Chain(0.004, (TOP,), (length,))
        assert seconds_per_token(chain) == pytest.approx(cost_per_token(TOP, 0.004, length))
    assert seconds_per_token(Chain(0.004, (TOP,), (0,))) == slow(1)
    assert seconds_per_token(Chain(0.25)) == 0.25


def test_what_comes_before_the_first_token_is_added():
    chain, beginning = Chain(0.004, (TOP,), (4,)), Beginning(0.5, load_s=3.0, queue_s=0.25)
    assert predicted_seconds(chain, 1, beginning) == 3.75
    more = predicted_seconds(chain, 33, beginning) - 3.75
    assert more == pytest.approx(run_seconds(chain, 32)[32])
    assert run_seconds(chain, 0) == [0.0]


def test_the_best_lengths_are_the_best_of_all():
    levels = (MIDDLE, TOP)
    best = best_chain(0.001, levels, 5)
    costs = {
        lengths: seconds_per_token(Chain(0.001, levels, lengths))
        for lengths in itertools.product(range(1, 6), repeat=2)
    }
    assert seconds_per_token(best) == min(costs.values()) == costs[best.lengths]
