"""What a quality predictor is fitted on: prompts as features, and what each plan made of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Examples:
    """n prompts. What was not measured is NaN, and nothing is fitted to it.

    Prompts of equal `groups` are near duplicates or of one source: they are never split.
    """

    features: Floats  # [n, number of features]
    evidence: Floats  # [n, plans, number of evidence features]: how sure each plan's root was
    scores: Floats  # [n, plans], in [0, 1]; means over samples where there are several
    num_tokens: Floats  # [n, plans], length of each plan's answer
    acceptance: Floats  # [n, pairs], share of draft tokens that would be accepted
    kinds: tuple[str, ...]  # [n], the data set or the caller's word
    groups: tuple[str, ...]  # [n]
    plan_names: tuple[str, ...]
    pair_names: tuple[str, ...]  # "drafter under verifier"

    def rows(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> "Examples":
        """Return the prompts of an index, in its order."""
        chosen = np.arange(len(self.kinds))[index]
        return Examples(
            self.features[chosen],
            self.evidence[chosen],
            self.scores[chosen],
            self.num_tokens[chosen],
            self.acceptance[chosen],
            tuple(self.kinds[i] for i in chosen),
            tuple(self.groups[i] for i in chosen),
            self.plan_names,
            self.pair_names,
        )


@dataclass(frozen=True)
class QualityForecast:
    """What a fitted model says of n prompts."""

    quality: Floats  # [n, plans], calibrated, in [0, 1]
    bound: Floats  # [n, plans], lower confidence bound; NaN where there is too little evidence
    num_tokens: Floats  # [n, plans]
    acceptance: Floats  # [n, pairs]
