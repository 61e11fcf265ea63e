import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiercel.decoding import prefix_hash

tokens = st.lists(st.integers(0, 2**32 - 1), max_size=12)


def test_hashes_of_prefixes_never_change():
    prefixes = ([], [0], [1], [0, 0], [1, 2, 3], [151_935, 2**32 - 1])
    assert [hex(prefix_hash.of(prefix)) for prefix in prefixes] == HASHES


@settings(deadline=None, derandomize=True)
@given(tokens, tokens)
def test_a_hash_grows_token_by_token(prefix, rest):
    value = prefix_hash.of(prefix)
    for token in rest:
        value = prefix_hash.extend(value, token)
    assert value == prefix_hash.of(prefix + rest)
    assert 0 <= value < 2**64


@settings(deadline=None, derandomize=True)
@given(tokens, tokens)
def test_different_prefixes_have_different_hashes(one, other):
    assert (prefix_hash.of(one) == prefix_hash.of(other)) == (one == other)


def test_all_short_prefixes_of_a_small_vocabulary_differ():
    prefixes = [p for n in range(7) for p in itertools.product(range(6), repeat=n)]
    assert len({prefix_hash.of(prefix) for prefix in prefixes}) == len(prefixes)


@pytest.mark.parametrize("other", [[1, 3, 2], [1, 2], [1, 2, 3, 0], [0, 1, 2, 3], [1, 2, 4]])
def test_order_length_and_zeros_count(other):
    assert prefix_hash.of([1, 2, 3]) != prefix_hash.of(other)


HASHES = [
    "0xe220a8397b1dcdaf",
    "0x3ca0344e4eb3aba9",
    "0x5f55b2573179d9b9",
    "0x9092ee456df0e07c",
    "0x7e0ff66821a08899",
    "0x8b9bd764e8b2fc0f",
]
