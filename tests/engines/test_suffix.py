import random

import pytest

from tiercel.engines.suffix import SuffixIndex, SuffixPool


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
    assert session(1, 2, 3, 4, 5, 9, 1, 2).propose(3, 0.0) == [3, 4, 5]


def test_a_loop_is_continued_through_the_end() -> None:
    assert session(1, 2, 3, 1, 2, 3).propose(8, 0.0) == [1, 2, 3, 1, 2, 3, 1, 2]


def test_without_a_match_of_two_tokens_nothing_is_proposed() -> None:
    assert session().propose(4, 0.0) == []
    assert session(1).propose(4, 0.0) == []
    assert session(1, 2, 3, 4, 3).propose(4, 0.0) == []
    assert session(1, 2, 1, 2).propose(0, 0.0) == []


def test_the_longer_match_wins_over_the_more_recent() -> None:
    index = session(7, 8, 1, 2, 3, 50, 9, 9, 1, 2, 4, 60, 7, 8, 1, 2)
    assert index.propose(1, 0.0) == [3]


def test_the_more_frequent_continuation_wins() -> None:
    assert session(1, 2, 3, 1, 2, 3, 1, 2, 4, 1, 2).propose(1, 0.0) != [4]
    shared = pool([0, 1, 2, 5], [0, 1, 2, 5], [0, 1, 2, 6])
    assert session(0, 1, 2, pools=(shared,)).propose(1, 0.0) == [5]


def test_among_equals_the_most_recent_wins() -> None:
    shared = pool([0, 1, 2, 5], [0, 1, 2, 6])
    assert session(0, 1, 2, pools=(shared,)).propose(1, 0.0) == [6]
    assert session(1, 2, 7, 0, 1, 2, 8, 0, 1, 2).propose(1, 0.0) == [8]


def test_thin_evidence_ends_the_draft_early() -> None:
    index = session(1, 2, 3, 4, 5, 6, 7, 9, 1, 2)
    lengths = [len(index.propose(5, confidence)) for confidence in (0.0, 0.4, 0.6, 0.7, 1.0)]
    assert lengths == [5, 3, 1, 0, 0]


def test_longer_agreement_is_stronger_evidence() -> None:
    short = session(1, 2, 3, 4, 5, 6, 9, 1, 2)
    long = session(8, 7, 6, 5, 1, 2, 3, 4, 5, 6, 8, 7, 6, 5, 1, 2)
    assert len(long.propose(4, 0.5)) > len(short.propose(4, 0.5))


def test_a_pool_serves_a_session_that_never_saw_its_text() -> None:
    shared = pool([10, 11, 12, 13, 14])
    assert session(1, 11, 12, pools=(shared,)).propose(5, 0.0) == [13, 14]


def test_truncating_and_appending_again_is_as_if_nothing_had_happened() -> None:
    generator = random.Random(3)
    tokens = [generator.randrange(4) for _ in range(200)]
    index = session(*tokens)
    for _ in range(50):
        length = generator.randrange(len(index) + 1)
        index.truncate(length)
        tokens = tokens[:length] + [generator.randrange(4) for _ in range(generator.randrange(20))]
        index.append(tokens[length:])
        assert index.propose(6, 0.1) == session(*tokens).propose(6, 0.1)
    with pytest.raises(ValueError, match="truncate"):
        index.truncate(len(index) + 1)


def test_the_pool_forgets_its_oldest_texts_and_keeps_no_trace_of_them() -> None:
    shared = SuffixPool(max_tokens=50)
    for start in range(0, 1000, 10):
        shared.add(list(range(start, start + 10)))
        assert len(shared) <= 50
    assert session(901, 902, pools=(shared,)).propose(2, 0.0) == []
    assert session(991, 992, pools=(shared,)).propose(2, 0.0) == [993, 994]
    assert len(shared._places) == 5 * 8
    shared.add(list(range(5000, 5200)))
    assert len(shared) == 50
    assert session(5198, 5199, pools=(shared,)).propose(1, 0.0) == []
    assert session(5197, 5198, pools=(shared,)).propose(1, 0.0) == [5199]


def test_places_are_bounded_however_often_an_ngram_occurs() -> None:
    index = session(*[1, 2] * 3000)
    assert len(index._candidates()) <= 32
    assert index.propose(4, 0.0) == [1, 2, 1, 2]
