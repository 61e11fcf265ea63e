"""The numbers of a fitted model: one hidden layer beside a linear map, and what evidence adds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.prediction.quality import featuriser

Floats = NDArray[np.float32]

LIMIT = 4.0  # of scaled features and evidence: what is farther out says no more
_HASHED_SCALE = 4.0
_SIGNAL_SCALE = 0.4


@dataclass(frozen=True, eq=False)
class Scaling:
    """Features become (feature - mean) x scale, limited."""

    means: Floats  # [features]
    scales: Floats  # [features]

    @classmethod
    def of(cls, features: Floats) -> "Scaling":
        """Return the scaling of rows like these, [n, features].

        Signals get one spread, and are dropped where they never vary. Hashed n-grams and an
        embedding, which have a length of 1, are only made larger.
        """
        num_features = features.shape[1]
        signals = np.ones(num_features, bool)
        if num_features >= featuriser.NUM_FEATURES:
            signals[: featuriser.NUM_BUCKETS] = False
            signals[featuriser.NUM_FEATURES :] = False
        means = np.where(signals, features.mean(axis=0), 0.0)
        spreads = features.std(axis=0)
        varies = spreads > 1e-6
        scales = np.where(varies, _SIGNAL_SCALE / np.where(varies, spreads, 1.0), 0.0)
        scales = np.where(signals, scales, _HASHED_SCALE)
        return cls(means.astype(np.float32), scales.astype(np.float32))

    def __call__(self, features: Floats) -> Floats:
        """Return scaled rows."""
        scaled: Floats = np.clip((features - self.means) * self.scales, -LIMIT, LIMIT)
        return scaled


@dataclass(frozen=True, eq=False)
class Weights:
    """outputs = scaled x linear + relu(scaled x inner + inner_biases) x outer + biases.

    Outputs are a logit of quality for each plan, the logarithm of each plan's length, and a logit
    of each pair's acceptance.
    """

    scaling: Scaling
    linear: Floats  # [features, outputs]
    inner: Floats  # [features, hidden]
    inner_biases: Floats  # [hidden]
    outer: Floats  # [hidden, outputs]
    biases: Floats  # [outputs]


@dataclass(frozen=True, eq=False)
class EvidenceWeights:
    """A plan's logit given evidence: a x its logit + the terms of each plan that has begun + b.

    A plan that has begun adds a constant and a linear function of its scaled evidence.
    """

    means: Floats  # [plans, evidence features]
    scales: Floats  # the same
    logit: Floats  # [plans]
    begun: Floats  # [plans that began, plans]
    evidence: Floats  # [plans that began, evidence features, plans]
    biases: Floats  # [plans]
