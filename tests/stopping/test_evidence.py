"""The evidence vector is pinned, and is the same from arrays and from lists that grow."""

import numpy as np
import pytest

from tiercel.errors import InvalidRequest
from tiercel.evaluation.evidence import halves
from tiercel.stopping.evidence import EVIDENCE_NAMES, EVIDENCE_VERSION, PREFIXES, evidence_vector

LOGPROBS = [-0.1, -2.5, -0.01, -0.7, -1.3]
ENTROPIES = [0.3, 2.2, 0.05, 1.1, 1.7]
MARGINS = [2.0, 0.1, 5.5, 0.6, 0.4]
MATCHES = (True, True, False, True)
GOLDEN = {
    "mean_logprob": -0.9219955444335938,
    "low_logprob": -2.019921875,
    "min_logprob": -2.5,
    "mean_entropy": 1.06981201171875,
    "high_entropy": 1.9996093750000001,
    "mean_margin": 1.7199951171875,
    "low_margin": 0.21994628906250002,
    "log2_length": 2.584962500721156,
    "finished": 1.0,
    "share_matched": 0.75,
    "share_matched_first": 0.5,
    "has_matches": 1.0,
}


def vector(**more: object) -> np.ndarray:
    return evidence_vector(LOGPROBS, ENTROPIES, MARGINS, **{"finished": True, **more})


def by_name(values: np.ndarray) -> dict[str, float]:
    return dict(zip(EVIDENCE_NAMES, values.tolist(), strict=True))


def test_the_vector_is_the_pinned_one():
    assert EVIDENCE_VERSION == 1  # with another vector goes another version
    assert by_name(vector(matches=MATCHES)) == pytest.approx(GOLDEN, rel=1e-14)


def test_the_vector_by_hand():
    found = by_name(evidence_vector([-1.0, -3.0], [0.5, 1.5], [2.0, 1.0], finished=False))
    assert found == pytest.approx(
        {
            "mean_logprob": -2.0,
            "low_logprob": -2.8,
            "min_logprob": -3.0,
            "mean_entropy": 1.0,
            "high_entropy": 1.4,
            "mean_margin": 1.5,
            "low_margin": 1.1,
            "log2_length": np.log2(3),
            "finished": 0.0,
            "share_matched": 0.0,
            "share_matched_first": 0.0,
            "has_matches": 0.0,
        }
    )


def test_stored_halves_and_what_is_sent_give_the_same_bits():
    draw = np.random.default_rng(0)
    sent = [(-draw.exponential(3, 70)).tolist() for _ in range(3)]
    stored = [halves(values) for values in sent]
    for prefix in (*PREFIXES, None):
        a = evidence_vector(*sent, finished=True, prefix_tokens=prefix)
        assert a.tolist() == evidence_vector(*stored, finished=True, prefix_tokens=prefix).tolist()


def test_a_prefix_is_what_was_there_when_it_was_said():
    """Lists that grow, as the router has them, against whole answers that are cut."""
    draw = np.random.default_rng(1)
    whole = [draw.random(40).tolist() for _ in range(3)]
    matches = (draw.random(40) < 0.6).tolist()
    for length in range(1, 40):
        grown = [values[:length] for values in whole]
        a = evidence_vector(*grown, finished=False, matches=matches[:length])
        b = evidence_vector(*whole, finished=True, matches=matches, prefix_tokens=length)
        assert a.tolist() == b.tolist()


def test_a_short_answer_is_finished_within_its_prefix():
    assert by_name(vector(prefix_tokens=5))["finished"] == 1.0
    assert by_name(vector(prefix_tokens=8))["finished"] == 1.0
    assert by_name(vector(prefix_tokens=4))["finished"] == 0.0


def test_the_low_quantile_sees_one_doubt_that_the_mean_of_a_long_answer_hides():
    short = by_name(evidence_vector([-0.1, -4.0], [0, 0], [0, 0], finished=True))
    doubts = [-4.0 if at % 5 == 0 else -0.1 for at in range(50)]
    long = by_name(evidence_vector(doubts, [0] * 50, [0] * 50, finished=True))
    assert long["mean_logprob"] > -1 > short["mean_logprob"]
    assert long["low_logprob"] == pytest.approx(-4.0, abs=0.01)


@pytest.mark.parametrize(
    ("matches", "share", "first"),
    [((True,) * 4, 1.0, 1.0), ((False, True), 0.5, 0.0), ((True, False, True, True), 0.75, 0.25)],
)
def test_matches_by_hand(matches: tuple[bool, ...], share: float, first: float):
    found = by_name(vector(matches=matches))
    assert (found["share_matched"], found["share_matched_first"]) == (share, first)
    assert found["has_matches"] == 1.0


def test_no_token_gives_zeros():
    assert evidence_vector([], [], [], finished=True).tolist() == [0.0] * len(EVIDENCE_NAMES)


def test_numbers_out_of_range_are_brought_near():
    found = by_name(evidence_vector([-np.inf], [1e9], [np.inf], finished=True))
    assert (found["min_logprob"], found["mean_entropy"], found["mean_margin"]) == (-20, 20, 20)


@pytest.mark.parametrize(
    ("lists", "more", "why"),
    [
        (([-1.0], [0.1], []), {}, "every token"),
        (([np.nan], [0.1], [0.1]), {}, "no number"),
        (([-1.0], [0.1], [0.1]), {"prefix_tokens": 0}, "prefix_tokens"),
    ],
)
def test_what_is_no_evidence_is_refused(
    lists: tuple[list[float], ...], more: dict[str, int], why: str
):
    with pytest.raises(InvalidRequest, match=why):
        evidence_vector(*lists, finished=False, **more)
