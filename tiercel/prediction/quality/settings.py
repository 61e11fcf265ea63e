"""How the quality predictor is fitted."""

from dataclasses import dataclass


@dataclass(frozen=True)
class QualitySettings:
    """The defaults are those that did best on prompts held out from the fit."""

    num_folds: int = 5  # of the cross-validation that chooses penalties and feeds evidence
    kind_penalty: float = 2.0
    penalties: tuple[float, ...] = (10.0, 30.0, 100.0, 300.0, 1000.0)
    """Of the linear map, from which the best on prompts held out is taken."""
    penalty_apart: float = 3.0  # times as much for what tells plans apart
    evidence_penalty: float = 30.0
    confidence: float = 0.95  # of the lower bounds, one-sided
    min_bin: int = 50  # prompts behind a bound; with fewer there is none
    max_bins: int = 10
