"""What may not be learned from: values that are no names, shares, times or counts."""

import math
from collections.abc import Sequence

from tiercel.errors import InvalidRequest

MAX_NAME_LENGTH = 128
MAX_COMPUTE_NS = 24 * 3600 * 10**9
MAX_COST = 1e9


def check_name(name: str, field: str) -> None:
    """Raise InvalidRequest for an empty or a long name."""
    if not name:
        raise InvalidRequest(field, name, "must be set")
    check_length(name, field)


def check_length(text: str, field: str) -> None:
    """Raise InvalidRequest for a long text."""
    if len(text) > MAX_NAME_LENGTH:
        raise InvalidRequest(field, text, f"must have at most {MAX_NAME_LENGTH} characters")


def check_count(entries: Sequence[object], field: str, limit: int) -> None:
    """Raise InvalidRequest for too many entries."""
    if len(entries) > limit:
        raise InvalidRequest(field, len(entries), f"at most {limit} entries")


def check_share(value: float, field: str) -> None:
    """Raise InvalidRequest for what is not in [0, 1]; NaN is not."""
    if not math.isfinite(value) or not 0.0 <= value <= 1.0:
        raise InvalidRequest(field, value, "must be in [0, 1]")


def check_finite(value: float, field: str) -> None:
    """Raise InvalidRequest for what is not a finite number."""
    if not math.isfinite(value):
        raise InvalidRequest(field, value, "must be finite")


def check_compute(nanoseconds: float, field: str) -> None:
    """Raise InvalidRequest for a time that no computation takes."""
    if not 0 <= nanoseconds <= MAX_COMPUTE_NS:
        raise InvalidRequest(field, nanoseconds, "must be a time of at most a day")


def check_cost(cost: float, field: str) -> None:
    """Raise InvalidRequest for what no answer costs."""
    if not 0.0 <= cost <= MAX_COST:  # NaN too
        raise InvalidRequest(field, cost, f"must be from 0 to {MAX_COST:g}")


def check_weight(value: float, field: str) -> None:
    """Raise InvalidRequest for what is not a finite number of at least 0."""
    if not 0.0 <= value < math.inf:  # NaN too
        raise InvalidRequest(field, value, "must be 0 or more, and finite")
