"""What is predicted of one request, by the names of plans and pairs."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class QualityPrediction:
    """Plans and pairs that the model does not know are absent.

    A plan under the rule `exact` is as good as its root: plans of one tier bear its name.
    """

    quality: dict[str, float]  # by plan, in [0, 1], calibrated
    bound: dict[str, float]  # lower confidence bound; absent where there is too little evidence
    num_tokens: dict[str, float]  # by plan
    acceptance: dict[str, float]  # by "drafter under verifier", in [0, 1]
    # Of the prompt, [NUM_FEATURES].
    features: Floats = field(default_factory=lambda: np.zeros(0, np.float32), compare=False)
