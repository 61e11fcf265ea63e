from collections.abc import Sequence
from itertools import product
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiercel.engines.combined import CombinedDrafter, weighed
from tiercel.engines.guesses import Guess


class Scripted:
    """Guesses by the length of its sequence, and notes when it was asked."""

    def __init__(self, name: str, guesses: dict[int, tuple[int, float]]) -> None:
        self.name, self._guesses = name, guesses
        self.tokens: list[int] = []
        self.asked: list[int] = []

    def append(self, tokens: Sequence[int]) -> None:
        self.tokens += tokens

    def truncate(self, length: int) -> None:
        del self.tokens[length:]

    def guess(self) -> Guess | None:
        length = len(self.tokens)
        self.asked.append(length)
        return Guess(*self._guesses[length]) if length in self._guesses else None


def test_the_surest_source_gives_each_token() -> None:
    first = Scripted("first", {0: (1, 0.5), 1: (2, 0.7), 3: (4, 0.5)})
    second = Scripted("second", {0: (9, 0.4), 1: (8, 0.75), 2: (7, 0.6), 3: (6, 0.5)})
    drafter = CombinedDrafter(first, second)
    draft = drafter.propose(4, 0.0)
    assert draft.tokens == [1, 8, 7, 4]
    assert draft.sources == ["first", "second", "second", "first"]
    assert first.tokens == second.tokens == draft.tokens


def test_a_sure_guess_is_taken_without_asking_further() -> None:
    first, second = (
        Scripted("first", {0: (1, 0.95)}),
        Scripted("second", {0: (2, 1.0), 1: (3, 1.0)}),
    )
    assert CombinedDrafter(first, second).propose(2, 0.0).tokens == [1, 3]
    assert (first.asked, second.asked) == ([0, 1], [1])


def test_the_draft_ends_where_it_is_likely_to_be_wrong() -> None:
    guesses = {length: (length, 0.7) for length in range(10)}
    lengths = [
        len(CombinedDrafter(Scripted("one", guesses)).propose(8, least).tokens)
        for least in (0.0, 0.2, 0.34, 0.35, 0.7, 0.71)
    ]
    assert lengths == [8, 4, 3, 2, 1, 0]


def test_a_draft_ends_where_nobody_has_a_guess() -> None:
    draft = CombinedDrafter(Scripted("one", {0: (5, 1.0)}), Scripted("two", {})).propose(4, 0.0)
    assert (draft.tokens, draft.sources) == ([5], ["one"])
    assert CombinedDrafter().propose(4, 0.0).tokens == []


def test_all_sources_are_cut_alike() -> None:
    first, second = Scripted("first", {}), Scripted("second", {})
    drafter = CombinedDrafter(first, second)
    drafter.append([1, 2, 3])
    drafter.truncate(1)
    drafter.append([7])
    assert first.tokens == second.tokens == [1, 7]


guesses = st.lists(st.builds(Guess, st.integers(0, 2), st.floats(0, 0.99)), min_size=1, max_size=4)


def by_enumeration(guesses: list[Guess], token: int) -> float:
    """The chance that a guess of `token` holds: over all ways of holding or not that can be."""
    possible: dict[int | None, float] = {}
    for holding in product([True, False], repeat=len(guesses)):
        tokens = {guess.token for guess, holds in zip(guesses, holding, strict=True) if holds}
        if len(tokens) > 1:
            continue  # two tokens cannot both follow
        chances = [
            guess.confidence if holds else 1 - guess.confidence
            for guess, holds in zip(guesses, holding, strict=True)
        ]
        follows = next(iter(tokens), None)
        possible[follows] = possible.get(follows, 0.0) + prod(chances)
    return possible.get(token, 0.0) / sum(possible.values())


@given(guesses)
def test_guesses_are_weighed_as_independent_evidence(guesses: list[Guess]) -> None:
    best = weighed(guesses)
    chances = {guess.token: by_enumeration(guesses, guess.token) for guess in guesses}
    assert best.confidence == pytest.approx(max(chances.values()))
    assert chances[best.token] == pytest.approx(best.confidence)


def test_agreement_makes_surer_and_contradiction_less_sure() -> None:
    alone = weighed([Guess(5, 0.6)])
    agreed = weighed([Guess(5, 0.6), Guess(5, 0.4)])
    against = weighed([Guess(5, 0.6), Guess(6, 0.4)])
    assert alone == Guess(5, 0.6)
    assert agreed == Guess(5, pytest.approx(1 - 0.4 * 0.6))
    assert against == Guess(5, pytest.approx(0.36 / 0.76))
    assert weighed([Guess(5, 1.0), Guess(6, 1.0)]).confidence == 0.0
