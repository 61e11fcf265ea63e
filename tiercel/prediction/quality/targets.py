"""What the outputs of the network are fitted to, side by side."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.prediction.examples import Examples

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Targets:
    """Scores, logarithms of lengths and acceptance; NaN where nothing was measured."""

    values: Floats  # [n, outputs]
    num_plans: int

    @classmethod
    def of(cls, examples: Examples) -> "Targets":
        """Return the targets of some examples."""
        lengths = np.log(np.maximum(examples.num_tokens, 1.0))
        values = np.hstack((examples.scores, lengths, examples.acceptance))
        return cls(values.astype(np.float32), len(examples.plan_names))

    def rows(self, index: NDArray[np.bool_]) -> "Targets":
        """Return the targets of some rows."""
        return Targets(self.values[index], self.num_plans)

    @property
    def num_logits(self) -> tuple[int, int]:
        """The first and the past-last output that is a length, and no logit."""
        return self.num_plans, 2 * self.num_plans

    @property
    def means(self) -> Floats:
        """What each output is without any feature: a logit or a mean, 0 without any target."""
        known = np.isfinite(self.values)
        sums = np.where(known, self.values, 0.0).sum(axis=0)
        counts = known.sum(axis=0)
        is_length = np.zeros(len(counts), bool)
        is_length[slice(*self.num_logits)] = True
        # Half a success and half a failure more keep the logit finite.
        shares = np.where(is_length, 0.5, (sums + 0.5) / (counts + 1.0))
        logits = np.log(shares) - np.log1p(-shares)
        lengths = sums / np.maximum(counts, 1)
        means: Floats = np.where(is_length, lengths, logits).astype(np.float32)
        return means
