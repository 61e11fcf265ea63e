"""Beginnings that sessions share: found by exact comparison, bounded, given back."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiercel.engines import load
from tiercel.engines.language_model import Cache, Step
from tiercel.speculation.prefixes import PrefixStore

LEAST = 16


class CountedModel:
    """A simulated model that knows which of its caches are open."""

    def __init__(self) -> None:
        self._model, _ = load("simulated", "any")
        self.description = self._model.description
        self.caches: list[Cache] = []

    def open(self, prefix: Cache | None = None, length: int = 0) -> Cache:
        self.caches.append(self._model.open(prefix, length))
        return self.caches[-1]

    def fed(self, tokens: Sequence[int]) -> Cache:
        return self.feed(self.open(), tokens)

    def feed(self, cache: Cache, tokens: Sequence[int]) -> Cache:
        if tokens:
            self._model.extend([Step(cache, tokens, 0)])
        return cache

    @property
    def num_open(self) -> int:
        return sum(cache.length >= 0 for cache in self.caches)


@pytest.fixture
def model() -> CountedModel:
    return CountedModel()


def holds(model: CountedModel, cache: Cache, tokens: Sequence[int]) -> bool:
    """Return whether a cache holds these tokens and no others: its hashes are theirs."""
    expected = model.fed(tokens)
    is_same = cache.hashes == expected.hashes
    expected.close()
    return is_same


SYSTEM = list(range(40))


def test_nothing_is_known_at_first(model: CountedModel):
    assert PrefixStore(model, 1000).open(SYSTEM, 1).length == 0


def test_a_new_sequence_starts_with_what_an_ended_one_began_with(model: CountedModel):
    store = PrefixStore(model, 1000)
    ended = [*SYSTEM, 1, 2, 3]
    store.give_back(model.fed(ended), ended)
    cache = store.open([*SYSTEM, 1, 9, 9, 9], 1)
    assert holds(model, cache, [*SYSTEM, 1])


@pytest.mark.parametrize("different", [0, 15, 39])
def test_a_beginning_that_differs_in_one_token_is_used_up_to_there(
    model: CountedModel, different: int
):
    """The negative control: one wrong token in the copied prefix would be seen."""
    store = PrefixStore(model, 1000)
    other = list(SYSTEM)
    other[different] = 77
    store.give_back(model.fed(other), other)
    cache = store.open([*SYSTEM, 1, 2], 1)
    assert cache.length == (different if different >= LEAST else 0)
    assert holds(model, cache, SYSTEM[: cache.length])
    assert not holds(model, cache, other[: cache.length + 1])


def test_an_open_session_shares_its_prompt(model: CountedModel):
    store = PrefixStore(model, 1000)
    live = model.fed(SYSTEM)
    store.share(live, SYSTEM[:30])
    assert holds(model, store.open([*SYSTEM, 1], 1), SYSTEM[:30])
    store.withdraw(live)
    assert store.open([*SYSTEM, 1], 1).length == 0


def test_a_whole_ended_sequence_is_handed_over_not_copied(model: CountedModel):
    store = PrefixStore(model, 1000)
    ended = model.fed(SYSTEM)
    store.give_back(ended, SYSTEM)
    assert store.open([*SYSTEM, 1], 1) is ended
    assert store.num_kept_tokens == 0
    assert store.open([*SYSTEM, 1], 1).length == 0


def test_the_tokens_whose_logits_are_wanted_stay_fresh(model: CountedModel):
    store = PrefixStore(model, 1000)
    store.give_back(model.fed(SYSTEM), SYSTEM)
    assert store.open(SYSTEM, 5).length == len(SYSTEM) - 5


def test_zero_shares_nothing(model: CountedModel):
    store = PrefixStore(model, 0)
    store.share(model.fed(SYSTEM), SYSTEM)
    store.give_back(model.fed(SYSTEM), SYSTEM)
    assert store.open([*SYSTEM, 1], 1).length == 0


def test_the_least_recently_used_makes_room(model: CountedModel):
    store = PrefixStore(model, 3 * 256)
    prompts = [[index, *range(1, 60)] for index in range(3)]
    for prompt in prompts:
        store.give_back(model.fed(prompt), prompt)
    assert store.open([*prompts[0][:50], 0], 1).length == 50
    newest = [9, *range(1, 60)]
    store.give_back(model.fed(newest), newest)
    lengths = [store.open([*prompt[:50], 0], 1).length for prompt in [*prompts, newest]]
    assert lengths == [50, 0, 50, 50]


def test_a_longer_sequence_takes_the_place_of_its_own_beginning(model: CountedModel):
    store = PrefixStore(model, 10_000)
    for length in (20, 30, 40, 25):
        store.give_back(model.fed(SYSTEM[:length]), SYSTEM[:length])
    assert model.num_open == 1
    assert holds(model, store.open([*SYSTEM, 1], 1), SYSTEM)


def test_a_sequence_over_the_bound_is_kept_up_to_it(model: CountedModel):
    store = PrefixStore(model, 300)
    tokens = [index % 90 for index in range(1000)]
    store.give_back(model.fed(tokens), tokens)
    assert store.num_kept_tokens == 300
    assert model.num_open == 1
    assert holds(model, store.open([*tokens, 1], 1), tokens[:300])


sequences = st.lists(st.sampled_from([1, 2]), min_size=0, max_size=24).map(
    lambda tokens: [7] * LEAST + tokens
)


@given(
    known=st.lists(st.tuples(st.sampled_from(["keep", "share", "open"]), sequences), max_size=12),
    asked=sequences,
    max_tokens=st.sampled_from([256, 600, 10_000]),
)
def test_the_longest_beginning_is_found_within_the_bound(
    known: list[tuple[str, list[int]]], asked: list[int], max_tokens: int
):
    """Whatever happened before; and every cache is open, shared or closed, never lost."""
    model, live = CountedModel(), []
    store = PrefixStore(model, max_tokens)
    held: list[list[int]] = []  # if nothing were forgotten
    for action, tokens in known:
        if action == "keep":
            store.give_back(model.fed(tokens), tokens)
        elif action == "share":
            live.append(model.fed(tokens))
            store.share(live[-1], tokens)
        else:
            cache = store.open(tokens, 1)
            assert holds(model, cache, tokens[: cache.length])
            store.give_back(model.feed(cache, tokens[cache.length :]), tokens)
        held.append(tokens)
        assert store.num_kept_tokens <= max_tokens
    cache = store.open([*asked, 9], 1)
    assert holds(model, cache, asked[: cache.length])
    if max_tokens == 10_000:
        assert cache.length == max((common(asked, tokens) for tokens in held), default=0)
    cache.close()
    for shared in live:
        store.withdraw(shared)
        shared.close()
    store.forget_kept()
    assert model.num_open == 0


def common(one: list[int], other: list[int]) -> int:
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return length
