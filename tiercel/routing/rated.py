"""What is expected of an answer's quality once its root's answers were rated: a posterior mean.

Ratings of a root say how good it is on average; a predictor tells prompts apart. So each rating is
carried over to the prompt at hand by what was predicted of both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tiercel.learning import RootQuality
from tiercel.routing.beliefs import PRIOR_RATINGS, Belief

# Ratings that feedback's own prior counts for in the mean that it tells.
_FEEDBACKS_PRIOR = 4.0


@dataclass(frozen=True)
class Expected:
    """What is expected of one answer's quality; None where nothing is known."""

    quality: float | None = None
    bound: float | None = None  # lower confidence bound of the same
    num_ratings: float | None = None  # that the quality is worth


def expected(
    predicted: float | None, bound: float | None, ratings: Sequence[RootQuality]
) -> Expected:
    """Return what a prediction and ratings, those of the widest kind first, say together.

    With a prediction q, worth w = PRIOR_RATINGS, and n ratings that were higher by e on average
    than what had been predicted of their answers, it is the posterior mean

        q' = (w q + n (q + e)) / (w + n)

    of a Beta distribution of mean q: what is known of all kinds first, and that is the prior of
    what is known of one. Ratings of answers of which nothing was predicted count, where there are
    no others, by their mean in place of q + e. The bound goes along: the ratings' part lies lower
    by the half of their interval. Without a prediction the ratings of the narrowest kind are all.
    """
    if predicted is None:
        return _alone(ratings[-1]) if ratings else Expected()
    found = Expected(predicted, bound, PRIOR_RATINGS)
    for one in ratings:
        found = _updated(found, one, predicted)
    return found


def _alone(one: RootQuality) -> Expected:
    return Expected(one.mean, one.lower, one.num_ratings + _FEEDBACKS_PRIOR)


def _updated(before: Expected, one: RootQuality, predicted: float) -> Expected:
    number, told = one.num_ratings, one.mean
    if one.num_predicted > 0:
        number, told = one.num_predicted, _share(predicted + one.excess)
    lower = _share(told - (one.mean - one.lower))
    quality = _after(before.quality, told, number)
    bound = min(quality, _after(before.bound, lower, number))
    return Expected(quality, bound, PRIOR_RATINGS + number)


def _after(before: float | None, told: float, number: float) -> float:
    if before is None:
        return told
    return Belief(before, PRIOR_RATINGS).rated(told, number).mean


def _share(value: float) -> float:
    return max(0.0, min(1.0, value))
