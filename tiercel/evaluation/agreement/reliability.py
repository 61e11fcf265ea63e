"""Reliability curves: what was foretold against what came, by kind of request."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tiercel.evaluation.agreement.fitting import expected
from tiercel.evaluation.agreement.votes import AgreedAnswer, Vote
from tiercel.evaluation.statistics import estimate

ALL_KINDS = ""
_NUM_BINS = 10
_NUM_GROUPS = 4
_FEWEST_ANSWERS = 20


@dataclass(frozen=True)
class Point:
    """Cases of about one forecast, and how often it came."""

    forecast: float  # mean over the cases
    observed: float
    low: float  # of the 95 % interval
    high: float
    count: int


@dataclass(frozen=True)
class Curve:
    """The points of one kind of request ("": all); `error` is their mean distance from truth."""

    kind: str
    points: tuple[Point, ...]
    count: int
    error: float | None  # |forecast - observed|, weighted; None where nothing was forecast


def acceptance_curves(votes: Sequence[Vote], least: int) -> list[Curve]:
    """Return P(target agrees | what at least `least` drafters propose) against what came.

    Forecasts are of tables that have not seen the answer in question.
    """
    told = [(vote, prob) for vote, prob in expected(votes) if vote.num_agreeing >= least]
    kinds = _kinds(vote.kind for vote, _ in told)
    cases = {
        kind: [(prob, vote.target_agrees) for vote, prob in told if kind in (ALL_KINDS, vote.kind)]
        for kind in kinds
    }
    return [_forecast(kind, each) for kind, each in cases.items() if each]


def correctness_curves(answers: Sequence[AgreedAnswer]) -> list[Curve]:
    """Return the mean score of answers against the share of them that was agreed on."""
    curves = []
    for kind in _kinds(one.kind for one in answers):
        each = sorted(
            (one for one in answers if kind in (ALL_KINDS, one.kind)), key=lambda one: one.share
        )
        if len(each) >= _FEWEST_ANSWERS:
            size = -(-len(each) // _NUM_GROUPS)
            groups = [each[start : start + size] for start in range(0, len(each), size)]
            points = tuple(_answer_point(group) for group in groups)
            curves.append(Curve(kind, points, len(each), None))
    return curves


def rank_chance(answers: Sequence[AgreedAnswer]) -> float | None:
    """Return the chance that of a right and a wrong answer the right one was more agreed on.

    The area under the ROC curve (Mann and Whitney 1947), over pairs of one kind of request: hard
    kinds are agreed on less, which says nothing of a single answer. Answers count as right from a
    score of one half on. None without such a pair.
    """
    right = [one for one in answers if one.score >= 0.5]
    wrong = [one for one in answers if one.score < 0.5]
    pairs = [(good.share, bad.share) for good in right for bad in wrong if good.kind == bad.kind]
    wins = sum((good > bad) + (good == bad) / 2 for good, bad in pairs)
    return wins / len(pairs) if pairs else None


def _forecast(kind: str, cases: Sequence[tuple[float, bool]]) -> Curve:
    bins: dict[int, list[tuple[float, bool]]] = {}
    for prob, came in cases:
        bins.setdefault(min(_NUM_BINS - 1, int(prob * _NUM_BINS)), []).append((prob, came))
    points = tuple(_case_point(each) for _, each in sorted(bins.items()))
    apart = sum(point.count * abs(point.forecast - point.observed) for point in points)
    return Curve(kind, points, len(cases), apart / len(cases))


def _case_point(cases: Sequence[tuple[float, bool]]) -> Point:
    found = estimate([float(came) for _, came in cases])
    mean = sum(prob for prob, _ in cases) / len(cases)
    return Point(mean, found.mean, found.low, found.high, found.count)


def _answer_point(answers: Sequence[AgreedAnswer]) -> Point:
    found = estimate([one.score for one in answers])
    mean = sum(one.share for one in answers) / len(answers)
    return Point(mean, found.mean, found.low, found.high, found.count)


def _kinds(kinds: Iterable[str]) -> list[str]:
    """Return all kinds together, then each by itself if there are several."""
    found = sorted(set(kinds))
    return [ALL_KINDS, *(kind for kind in found if kind)] if len(found) > 1 else [ALL_KINDS]
