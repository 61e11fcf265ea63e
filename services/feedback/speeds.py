"""How fast a tier answers at each level of load: sums that tell quantiles, after DDSketch.

Masson, Rim and Lee (VLDB 2019): a time is counted in the bin of its logarithm, so that any quantile
is known to a relative error, and sketches are merged by adding.
"""

import math
from collections.abc import Mapping

from services.feedback.cells import Cell, Sums
from tiercel.learning import TierPolicy
from tiercel.types import Usage

# Bounds of bins grow by this factor: quantiles are good to 5 %.
_GROWTH = 1.1
_LEAST_S = 1e-3
_BANDS = (0, 1, 2, 4, 8, 16, 32)


def load_band(num_outstanding: int) -> int:
    """Return from how many open requests on the band begins that this many fall into."""
    return max(band for band in _BANDS if band <= num_outstanding)


def speed_sums(root: str, usage: Usage) -> dict[str, float]:
    """Return what an answer says about the tier that gave it; nothing of one without a token."""
    tier = next((one for one in usage.tiers if one.tier == root), None)
    if tier is None or not usage.time_to_first_token_s > 0:
        return {}
    fed = max(0, tier.num_prompt_tokens - tier.num_cached_prompt_tokens)
    sums = {"requests": 1.0, f"ttft{time_bin(usage.time_to_first_token_s)}": 1.0}
    return sums | ({"prompt_tokens": fed, "prefill_s": tier.prefill_s} if fed else {})


def quantile(sums: Sums, share: float) -> float:
    """Return the time to the first token that this share of requests keeps, seconds; 0 without any.

    Good to 5 % above 1 ms.
    """
    bins = sorted((int(name[4:]), count) for name, count in sums.items() if name[:4] == "ttft")
    left = share * sum(count for _, count in bins)
    for number, count in bins:
        left -= count
        if left <= 1e-9:
            return _LEAST_S * _GROWTH ** (number - 0.5) if number else _LEAST_S
    return 0.0


def tier_policies(
    cells: Mapping[Cell, Sums], pass_times: Mapping[str, tuple[float, float]], least: float
) -> tuple[TierPolicy, ...]:
    """Return what is known of each tier and band with at least so many requests.

    `pass_times` are, by tier, the seconds of a pass over one token and of each further token.
    """
    found = []
    for cell, sums in cells.items():
        if cell.subject[0] != "speed" or round(sums.get("requests", 0.0)) < least:
            continue
        tier, band = cell.subject[1], int(cell.subject[2])
        tokens = sums.get("prompt_tokens", 0.0)
        found.append(
            TierPolicy(
                tier,
                band,
                *pass_times.get(tier, (0.0, 0.0)),
                sums["prefill_s"] / tokens if tokens else 0.0,
                quantile(sums, 0.5),
                quantile(sums, 0.95),
                round(sums["requests"]),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.tier, one.min_outstanding)))


def time_bin(seconds: float) -> int:
    """Return the number of the bin that a time is counted in."""
    if seconds <= _LEAST_S:
        return 0
    return math.ceil(math.log(seconds / _LEAST_S) / math.log(_GROWTH))
