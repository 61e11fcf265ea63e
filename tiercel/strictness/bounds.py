"""Bounds of a share from counts: Clopper-Pearson for one look, and one that holds at every look.

A share is that of harmed answers among audited ones, in [0, 1]; counts are whole.
"""

import math
from collections.abc import Callable
from functools import lru_cache

_BISECTIONS = 60
_NEGLIGIBLE = 1e-17
_CACHED = 4096  # bounds: the same counts are asked for at each change of anything else


@lru_cache(_CACHED)
def clopper_pearson_upper(harmed: int, audits: int, delta: float) -> float:
    """Return the upper bound of a share that fails with probability `delta` at the most.

    Clopper and Pearson (1934), one-sided. It holds for a number of audits fixed beforehand: who
    looks again and again until it is low enough finds that in time, whatever the share.
    """
    if harmed >= audits:
        return 1.0
    return _crossing(lambda share: binomial_cdf(harmed, audits, share) <= delta)


def least_audits(epsilon: float, delta: float) -> int:
    """Return how many audits without harm show that the share is at most `epsilon`."""
    return math.ceil(math.log(delta) / math.log1p(-epsilon))


@lru_cache(_CACHED)
def anytime_upper(harmed: int, audits: int, delta: float) -> float:
    """Return an upper bound of the share; with probability 1 - `delta` none ever lies below it.

    The bound of each look is the greatest share against which a bet has not won 1 / `delta`: a
    likelihood ratio, mixed evenly over all smaller shares, is a martingale that starts at 1
    (Robbins 1970; Ville's inequality; as a bet, Waudby-Smith and Ramdas 2024).
    """
    if harmed >= audits:
        return 1.0
    least = harmed / audits
    return _crossing(
        lambda share: share > least and _log_bet_below(harmed, audits, share) >= -math.log(delta)
    )


def anytime_lower(harmed: int, audits: int, delta: float) -> float:
    """Return a lower bound of the share; with probability 1 - `delta` none ever lies above it.

    It needs no fixed share: it says that not every answer so far had a chance of harm below it,
    for the bet on greater shares is a supermartingale under any smaller ones.
    """
    return 1.0 - anytime_upper(audits - harmed, audits, delta)


def binomial_cdf(number: int, trials: int, share: float) -> float:
    """Return the probability of at most `number` of `trials`, each with chance `share` in (0, 1).

    A sum of the terms from the one in question outwards, where they fall: the others are left out
    once they add nothing.
    """
    if number >= trials:
        return 1.0
    if number > trials * share:
        return 1.0 - _tail(trials - number - 1, trials, 1.0 - share)
    return _tail(number, trials, share)


def _tail(number: int, trials: int, share: float) -> float:
    """Return the probability of at most `number`, which is no more than the mean."""
    if number < 0:
        return 0.0
    odds = (1.0 - share) / share
    term = total = 1.0
    for k in range(number, 0, -1):
        term *= k / (trials - k + 1) * odds
        total += term
        if term < _NEGLIGIBLE * total:
            break
    logarithm = number * math.log(share) + (trials - number) * math.log1p(-share)
    return total * math.exp(logarithm - _log_beta(number, trials))


def _log_bet_below(harmed: int, audits: int, share: float) -> float:
    """Return the logarithm of the mean, over shares q below `share`, of the likelihood ratio.

    With q even in (0, share): the integral of q^k (1 - q)^(n - k) is an incomplete beta function,
    which is a binomial tail.
    """
    below = binomial_cdf(audits - harmed, audits + 1, 1.0 - share)
    mixed = _log_beta(harmed, audits) - math.log(audits + 1) + math.log(below) - math.log(share)
    alone = harmed * math.log(share) + (audits - harmed) * math.log1p(-share)
    return mixed - alone


def _log_beta(number: int, trials: int) -> float:
    """Return the logarithm of 1 / binomial(trials, number)."""
    return math.lgamma(number + 1) + math.lgamma(trials - number + 1) - math.lgamma(trials + 1)


def _crossing(is_beyond: Callable[[float], bool]) -> float:
    """Return where shares begin to be beyond, from its far side."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_beyond(middle) else (middle, high)
    return high
