from hypothesis import given
from hypothesis import strategies as st

from tiercel.decoding import prefix_hash
from tiercel.draft_stream import TokenSequence

TOKENS = st.lists(st.integers(0, 5), max_size=8)


@given(first=TOKENS, length=st.integers(0, 9), second=TOKENS)
def test_hashes_follow_every_cut_and_append(first, length, second):
    sequence = TokenSequence(first)
    sequence.cut(length)
    sequence.append(second)
    tokens = first[:length] + second
    assert sequence.tokens() == tokens and len(sequence) == len(tokens)
    for end in range(len(tokens) + 1):
        assert sequence.hash_at(end) == prefix_hash.of(tokens[:end])


def test_agreement_ends_at_the_first_difference_or_at_the_shorter_end():
    sequence = TokenSequence([4, 0, 4, 1])
    assert sequence.agreement(1, [0, 4, 2]) == 2
    assert sequence.agreement(2, [4, 1, 1]) == 2
    assert sequence.agreement(1, [0]) == 1
    assert sequence.agreement(4, [0]) == sequence.agreement(0, []) == 0


def test_a_copy_changes_by_itself():
    sequence = TokenSequence([1, 0])
    twin = sequence.copy()
    twin.cut(1)
    twin.append([5])
    assert (sequence.tokens(), twin.tokens()) == ([1, 0], [1, 5])
    assert sequence.hash_at(2) == prefix_hash.of([1, 0])


def test_the_last_token_may_be_token_zero():
    assert TokenSequence([3, 0]).last() == 0
