"""How the quality predictor is fitted."""

from dataclasses import dataclass


@dataclass(frozen=True)
class QualitySettings:
    """The defaults are those that were best on held-out prompts."""

    ridge: float = 30.0  # penalty of the linear part
    confidence: float = 0.95  # of the lower bounds, one-sided
    min_bin: int = 50  # items behind a bound; with fewer there is none
    max_bins: int = 10
    min_isotonic: int = 1000  # items; with fewer a curve of two parameters calibrates
