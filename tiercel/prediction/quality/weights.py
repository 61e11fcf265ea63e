"""The numbers of a fitted model: kinds of requests beside a linear map, and what evidence adds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.prediction.quality import featuriser

Floats = NDArray[np.float32]

LIMIT = 4.0  # of scaled features and evidence: what is farther out says no more
_HASHED_SCALE = 4.0
_SIGNAL_SCALE = 0.4
_EMBEDDING_SCALE = 2.5


@dataclass(frozen=True)
class Scaling:
    """Features become (feature - mean) x scale, limited."""

    means: Floats  # [features]
    scales: Floats  # [features]

    @classmethod
    def of(cls, features: Floats) -> "Scaling":
        """Return the scaling of rows like these, [n, features].

        Signals get one spread, and are dropped where they never vary. Hashed words weigh the more
        the fewer prompts have them (inverse document frequency). What comes after the signals is an
        embedding: all of its numbers have one scale, so that angles stay what they are.
        """
        own = cls._of_features(features[:, : featuriser.NUM_FEATURES])
        means = features[:, featuriser.NUM_FEATURES :].mean(axis=0, dtype=np.float32)
        scales = np.full(len(means), _EMBEDDING_SCALE, np.float32)
        return cls(np.concatenate((own.means, means)), np.concatenate((own.scales, scales)))

    @classmethod
    def _of_features(cls, features: Floats) -> "Scaling":
        num_rows, num_features = features.shape
        signals = np.arange(num_features) >= featuriser.NUM_BUCKETS
        means = np.where(signals, features.mean(axis=0), 0.0)
        spreads = features.std(axis=0)
        varies = spreads > 1e-6
        scales = np.where(varies, _SIGNAL_SCALE / np.where(varies, spreads, 1.0), 0.0)
        rarity = 1.0 + np.log((1.0 + num_rows) / (1.0 + (features > 0).sum(axis=0)))
        lengths = np.linalg.norm(features[:, ~signals] * rarity[~signals], axis=1)
        hashed = _HASHED_SCALE * rarity / max(1.0, float(lengths.mean()))
        return cls(means.astype(np.float32), np.where(signals, scales, hashed).astype(np.float32))

    def __call__(self, features: Floats) -> Floats:
        """Return scaled rows."""
        scaled: Floats = np.clip((features - self.means) * self.scales, -LIMIT, LIMIT)
        return scaled


@dataclass(frozen=True, eq=False)
class Weights:
    """outputs = kinds x kind_outputs + scaled x linear, kinds = softmax(scaled x kind + biases).

    Outputs are a logit of quality for each plan, the logarithm of each plan's length, and a logit
    of each pair's acceptance. Kinds are the odds that a request is of each kind that was fitted on.
    """

    scaling: Scaling
    kind: Floats  # [features, kinds]
    kind_biases: Floats  # [kinds]
    kind_outputs: Floats  # [kinds, outputs]
    linear: Floats  # [features, outputs]


@dataclass(frozen=True, eq=False)
class EvidenceWeights:
    """A plan's logit given evidence: a x its logit + the terms of each plan that has begun + b.

    A plan that has begun adds a constant and a linear function of its evidence, less what such
    requests mostly show (`means`), scaled.
    """

    means: Floats  # [kinds, plans, evidence features]
    scales: Floats  # [plans, evidence features]
    logit: Floats  # [plans]
    begun: Floats  # [plans that began, plans]
    evidence: Floats  # [plans that began, evidence features, plans]
    biases: Floats  # [plans]
