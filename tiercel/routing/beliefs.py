"""What is believed of expected scores in [0, 1]: Beta distributions, and who of many is best.

Nothing is drawn here: the odds of Thompson sampling (1933) are integrals, and so are propensities.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import asinh, lgamma, log, sqrt

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

# Ratings that what was believed before counts for.
PRIOR_RATINGS = 20.0
# Less on either side would put most of the probability where doubles cannot tell scores apart.
_LEAST = 0.05
_NUM_NODES = 129
_TAIL = 1e-10  # probability that is left out on either side


@dataclass(frozen=True)
class Belief:
    """Beta(alpha, beta), told by its mean and by how many ratings it is worth."""

    mean: float
    weight: float

    @property
    def alpha(self) -> float:
        """The ratings' worth of scores of 1."""
        return max(_LEAST, self.weight * self.mean)

    @property
    def beta(self) -> float:
        """The ratings' worth of scores of 0."""
        return max(_LEAST, self.weight * (1.0 - self.mean))

    def rated(self, score: float, number: float = 1.0) -> "Belief":
        """Return the posterior after `number` ratings of mean `score`.

        mean = (weight * mean + number * score) / (weight + number): exact for scores of 0 and 1,
        and of the right mean for those between.
        """
        weight = self.weight + number
        if weight <= 0:
            return self
        return Belief((self.weight * self.mean + number * score) / weight, weight)

    def faded(self, kept: float, prior: "Belief") -> "Belief":
        """Return what is left if every rating since `prior` weighs only `kept` of what it did.

        That is discounted Thompson sampling (Raj and Kalyani, arXiv:1707.09727); kept = 0.5 ** (age
        / half-life).
        """
        number = max(0.0, self.weight - prior.weight)
        if not number:
            return prior
        total = self.weight * self.mean - prior.weight * prior.mean
        return prior.rated(min(1.0, max(0.0, total / number)), kept * number)

    def cdf(self, scores: Doubles) -> Doubles:
        """Return the probability that the expected score is at most each of `scores`."""
        table = _table(self.alpha, self.beta)
        inside = np.clip(scores, 1e-300, 1.0 - 1e-16)
        found = table.at(np.log(inside) - np.log1p(-inside))
        return np.where(scores <= 0.0, 0.0, np.where(scores >= 1.0, 1.0, found))


def odds_of_best(beliefs: Sequence[Belief], prices: Sequence[float]) -> Doubles:
    """Return [n]: the probability that score - price is the largest of all, for each.

    P_i is the integral of f_i(u) times the product of F_j(u) over the others j, where f and F are
    density and distribution of score - price. Between nodes, which lie as close as each belief
    needs them, every F is taken for straight; the integral is then exact, and the odds add up to 1.
    Equals share alike. Within 1e-4 of the truth.
    """
    if len(beliefs) == 1:
        return np.ones(1)
    nodes = [
        _table(one.alpha, one.beta).scores - price
        for one, price in zip(beliefs, prices, strict=True)
    ]
    places = np.unique(np.concatenate(nodes))
    below = np.stack([one.cdf(places + price) for one, price in zip(beliefs, prices, strict=True)])
    below[:, 0], below[:, -1] = 0.0, 1.0  # what lies farther out, all of it a _TAIL
    steps = np.diff(below, axis=1)
    points, weights = np.polynomial.legendre.leggauss(len(beliefs) // 2 + 1)
    odds = np.zeros(len(beliefs))
    for point, weight in zip((points + 1.0) / 2.0, weights / 2.0, strict=True):
        odds += weight * (steps * _others(below[:, :-1] + point * steps)).sum(axis=1)
    odds = np.maximum(odds, 0.0)
    return np.asarray(odds / odds.sum(), np.float64)


def _others(values: Doubles) -> Doubles:
    """Return, for each row of [n, m], the product of all other rows."""
    ones = np.ones((1, values.shape[1]))
    before = np.cumprod(np.concatenate((ones, values[:-1])), axis=0)
    after = np.cumprod(np.concatenate((ones, values[:0:-1])), axis=0)[::-1]
    return np.asarray(before * after, np.float64)


@dataclass(frozen=True, eq=False)
class _Table:
    """A Beta distribution at nodes of t, with log-odds of the score = middle + width * sinh(t).

    In log-odds its density is smooth and of one peak whatever alpha and beta, and its tails fall
    like exponentials; sinh follows both.
    """

    middle: float
    width: float
    step: float
    first: float
    below: Doubles  # [nodes], the distribution
    slopes: Doubles  # [nodes], its slope, by t
    scores: Doubles  # [nodes]

    def at(self, log_odds: Doubles) -> Doubles:
        """Return the distribution, by cubic polynomials of given slopes between nodes."""
        place = (np.arcsinh((log_odds - self.middle) / self.width) - self.first) / self.step
        index = np.clip(place.astype(np.intp), 0, len(self.below) - 2)
        part = np.clip(place - index, 0.0, 1.0)
        rest = 1.0 - part
        value = self.below[index] * rest**2 * (1.0 + 2.0 * part)
        value += self.below[index + 1] * part**2 * (1.0 + 2.0 * rest)
        bend = self.slopes[index] * rest - self.slopes[index + 1] * part
        return np.asarray(value + self.step * part * rest * bend, np.float64)


@lru_cache(maxsize=1024)
def _table(alpha: float, beta: float) -> _Table:
    middle, width = log(alpha / beta), sqrt((alpha + beta) / (alpha * beta))
    fall = -log(_TAIL)
    # A tail falls at least like the normal near the peak, or like the exponential far from it.
    reach = [asinh(sqrt(2.0 * fall) + 2.0 * fall / (side * width)) for side in (alpha, beta)]
    t = np.linspace(-reach[0], reach[1], _NUM_NODES)
    log_odds = middle + width * np.sinh(t)
    scores = 1.0 / (1.0 + np.exp(-np.clip(log_odds, -700.0, 700.0)))
    density = np.exp(_log_density(alpha, beta, log_odds)) * width * np.cosh(t)
    bend = density * ((alpha - (alpha + beta) * scores) * width * np.cosh(t) + np.tanh(t))
    step = float(t[1] - t[0])
    pieces = step / 2 * (density[1:] + density[:-1]) + step**2 / 12 * (bend[:-1] - bend[1:])
    below = np.concatenate((np.zeros(1), np.cumsum(pieces)))
    total = float(below[-1])
    return _Table(middle, width, step, float(t[0]), below / total, density / total, scores)


def _log_density(alpha: float, beta: float, log_odds: Doubles) -> Doubles:
    whole = lgamma(alpha + beta) - lgamma(alpha) - lgamma(beta)
    rises = -alpha * np.logaddexp(0.0, -log_odds) - beta * np.logaddexp(0.0, log_odds)
    return np.asarray(whole + rises, np.float64)
