"""How the quality predictor is fitted."""

from dataclasses import dataclass


@dataclass(frozen=True)
class QualitySettings:
    """The defaults are those that did best on prompts held out from the fit."""

    num_members: int = 5  # each is stopped on a fifth of the groups, which it is not fitted on
    hidden_size: int = 16  # of each member
    linear_share: float = 0.5  # of the linear map in a member's logit, the network has the rest
    linear_penalty: float = 10.0
    weight_decay: float = 0.1
    feature_dropout: float = 0.4
    hidden_dropout: float = 0.4
    learning_rate: float = 1e-3
    max_epochs: int = 40
    patience: int = 3  # epochs without a gain
    evidence_penalty: float = 3.0
    confidence: float = 0.95  # of the lower bounds, one-sided
    min_bin: int = 50  # prompts behind a bound; with fewer there is none
    max_bins: int = 10
    min_isotonic: int = 1000  # prompts; with fewer a curve of two parameters calibrates
