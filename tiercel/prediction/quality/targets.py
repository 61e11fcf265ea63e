"""What the model's outputs are fitted to, side by side."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.prediction.examples import Examples

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


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
    def parts(self) -> tuple[slice, ...]:
        """The outputs that are of one sort: qualities, lengths, acceptance."""
        first, last = self.num_logits
        return slice(0, first), slice(first, last), slice(last, self.values.shape[1])

    def losses(self, outputs: Floats) -> tuple[Doubles, Doubles]:
        """Return what outputs [n, outputs] cost, and the slopes of that.

        Cross entropy of shares, squares of lengths; what was not measured costs nothing.
        """
        known = np.isfinite(self.values)
        wanted = np.where(known, self.values, 0.0).astype(np.float64)
        lengths = self.parts[1]
        costs = np.logaddexp(0.0, outputs) - wanted * outputs
        errors = 1.0 / (1.0 + np.exp(-outputs)) - wanted
        apart = (outputs - wanted)[:, lengths]
        costs[:, lengths], errors[:, lengths] = 0.5 * apart**2, apart
        return np.where(known, costs, 0.0), np.where(known, errors, 0.0)
