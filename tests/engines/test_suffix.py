import itertools
import random
import tracemalloc

import pytest

from tiercel.engines.combined import CombinedDrafter
from tiercel.engines.suffix import SuffixIndex, SuffixPool


def proposed(index: SuffixIndex, max_tokens: int, min_confidence: float) -> list[int]:
    """What the index drafts; it is left as it was."""
    length = len(index)
    draft = CombinedDrafter(index).propose(max_tokens, min_confidence)
    index.truncate(length)
    return draft.tokens


def session(*tokens: int, pools: tuple[SuffixPool, ...] = ()) -> SuffixIndex:
    index = SuffixIndex(*pools)
    index.append(tokens)
    return index


def pool(*texts: list[int], max_tokens: int = 1000) -> SuffixPool:
    made = SuffixPool(max_tokens)
    for text in texts:
        made.add(text)
    return made


def test_what_followed_last_time_is_proposed() -> None:
    assert proposed(session(1, 2, 3, 4, 5, 9, 1, 2), 3, 0.0) == [3, 4, 5]


def test_a_loop_is_continued_through_the_end() -> None:
    assert proposed(session(1, 2, 3, 1, 2, 3), 8, 0.0) == [1, 2, 3, 1, 2, 3, 1, 2]


def test_without_a_match_of_two_tokens_nothing_is_proposed() -> None:
    assert proposed(session(), 4, 0.0) == []
    assert proposed(session(1), 4, 0.0) == []
    assert proposed(session(1, 2, 3, 4, 3), 4, 0.0) == []
    assert proposed(session(1, 2, 1, 2), 0, 0.0) == []


def test_the_longer_match_wins_over_the_more_recent() -> None:
    index = session(7, 8, 1, 2, 3, 50, 9, 9, 1, 2, 4, 60, 7, 8, 1, 2)
    assert proposed(index, 1, 0.0) == [3]


def test_the_more_frequent_continuation_wins() -> None:
    assert proposed(session(1, 2, 3, 1, 2, 3, 1, 2, 4, 1, 2), 1, 0.0) != [4]
    shared = pool([0, 1, 2, 5], [0, 1, 2, 5], [0, 1, 2, 6])
    assert proposed(session(0, 1, 2, pools=(shared,)), 1, 0.0) == [5]


def test_among_equals_the_most_recent_wins() -> None:
    shared = pool([0, 1, 2, 5], [0, 1, 2, 6])
    assert proposed(session(0, 1, 2, pools=(shared,)), 1, 0.0) == [6]
    assert proposed(session(1, 2, 7, 0, 1, 2, 8, 0, 1, 2), 1, 0.0) == [8]


def test_thin_evidence_ends_the_draft_early() -> None:
    index = session(1, 2, 3, 4, 5, 6, 7, 9, 1, 2)
    lengths = [len(proposed(index, 5, confidence)) for confidence in (0.0, 0.4, 0.6, 0.7, 1.0)]
    assert lengths == [5, 2, 1, 0, 0]


def test_longer_agreement_is_stronger_evidence() -> None:
    short = session(1, 2, 3, 4, 5, 6, 9, 1, 2)
    long = session(8, 7, 6, 5, 1, 2, 3, 4, 5, 6, 8, 7, 6, 5, 1, 2)
    assert len(proposed(long, 4, 0.5)) > len(proposed(short, 4, 0.5))


def test_a_pool_serves_a_session_that_never_saw_its_text() -> None:
    shared = pool([10, 11, 12, 13, 14])
    assert proposed(session(1, 11, 12, pools=(shared,)), 5, 0.0) == [13, 14]


def test_truncating_and_appending_again_is_as_if_nothing_had_happened() -> None:
    generator = random.Random(3)
    tokens = [generator.randrange(4) for _ in range(200)]
    index = session(*tokens)
    for _ in range(50):
        length = generator.randrange(len(index) + 1)
        index.truncate(length)
        tokens = tokens[:length] + [generator.randrange(4) for _ in range(generator.randrange(20))]
        index.append(tokens[length:])
        assert proposed(index, 6, 0.1) == proposed(session(*tokens), 6, 0.1)
    with pytest.raises(ValueError, match="truncate"):
        index.truncate(len(index) + 1)


def test_the_pool_forgets_its_oldest_tokens_and_keeps_no_trace_of_them() -> None:
    shared = SuffixPool(max_tokens=50)
    for start in range(0, 1000, 10):
        shared.add(list(range(start, start + 10)))
    assert proposed(session(901, 902, pools=(shared,)), 2, 0.0) == []
    assert proposed(session(991, 992, pools=(shared,)), 2, 0.0) == [993, 994]
    assert len(shared.history._latest) <= 50
    shared.add(list(range(5000, 5200)))
    assert proposed(session(5148, 5149, pools=(shared,)), 1, 0.0) == []
    assert proposed(session(5151, 5152, pools=(shared,)), 1, 0.0) == [5153]
    assert proposed(session(5198, 5199, pools=(shared,)), 1, 0.0) == []


def places_by_search(held: list[int], first: int, second: int) -> list[int]:
    """Places from the end of `held`, the nearest first, of a bigram with a token behind it."""
    return [
        len(held) - at
        for at in range(len(held) - 1, 1, -1)
        if (held[at - 2], held[at - 1]) == (first, second) and held[at] != -1
    ]


@pytest.mark.parametrize("size", [3, 4, 10, 64])
def test_a_pool_knows_every_place_in_its_last_tokens_and_no_other(size: int) -> None:
    generator = random.Random(size)
    shared, added = SuffixPool(size), []
    for _ in range(200):
        text = [generator.randrange(3) for _ in range(generator.randrange(2 * size))]
        shared.add(text)
        added += [*text[-size:], -1] if len(text) > 2 else []
        held, history = added[-size:], shared.history
        for first, second in itertools.product(range(3), repeat=2):
            places = list(history.places(first << 32 | second))
            expected = places_by_search(held, first, second)
            assert [len(history) - place for place in places] == expected
        assert len(history._latest) <= 9


def test_no_match_goes_across_the_texts_of_a_pool() -> None:
    shared = pool([5, 1, 2], [3, 4, 7, 9])
    assert proposed(session(1, 2, pools=(shared,)), 1, 0.0) == []
    assert proposed(session(2, 3, pools=(shared,)), 1, 0.0) == []
    assert proposed(session(1, 2, 3, 4, pools=(shared,)), 1, 0.7) == []  # two agree, not four
    assert proposed(session(5, 1, pools=(shared,)), 3, 0.0) == [2]


@pytest.mark.parametrize("size", [0, 1, 2])
def test_a_pool_too_small_for_a_match_holds_nothing(size: int) -> None:
    shared = pool([1, 2, 3, 4], max_tokens=size)
    assert len(shared.history) == 0
    assert proposed(session(1, 2, pools=(shared,)), 1, 0.0) == []


def test_a_token_of_a_full_pool_takes_little_memory() -> None:
    generator, size = random.Random(4), 10_000
    tracemalloc.start()
    try:
        shared = SuffixPool(size)
        for _ in range(25):
            shared.add([generator.randrange(49_152) for _ in range(1000)])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(shared.history._latest) > 0.9 * size  # the worst case: hardly a bigram twice
    assert held / size < 200  # bytes; a queue for each bigram takes a thousand


def test_places_are_bounded_however_often_an_ngram_occurs() -> None:
    index = session(*[1, 2] * 3000)
    assert len(list(index._places())) == 4  # these agree as far as it is looked at
    many = session(*[token for other in range(10, 500) for token in (other, 1, 2)])
    assert len(list(many._places())) == 32
    assert proposed(index, 4, 0.0) == [1, 2, 1, 2]
