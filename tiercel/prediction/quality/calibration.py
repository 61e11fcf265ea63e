"""From a model's logit to a calibrated quality and its lower bound: tables, applied with numpy."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Floats = NDArray[np.float32]


class PlanCalibration(BaseModel):
    """One plan's curve, linear between its knots, and the bounds of its bins.

    `bounds[i]` holds for qualities from `edges[i]` on, up to the next edge; no bins, no bounds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str  # isotonic, platt or none
    num_items: int
    logits: tuple[float, ...]  # knots, ascending
    qualities: tuple[float, ...]
    edges: tuple[float, ...] = ()  # ascending; the first is at or below every quality
    bounds: tuple[float, ...] = ()

    def quality(self, logits: Floats) -> Floats:
        """Return calibrated qualities of any shape; NaN stays NaN."""
        return np.interp(logits, self.logits, self.qualities).astype(np.float32)

    def bound(self, qualities: Floats) -> Floats:
        """Return the lower bounds of calibrated qualities; NaN where too little is known."""
        if not self.edges:
            return np.full(np.shape(qualities), np.nan, np.float32)
        bins = np.searchsorted(self.edges, qualities, side="right") - 1
        bounds = np.asarray(self.bounds, np.float32)[np.clip(bins, 0, None)]
        # A bin's items may be better than this prompt: what is promised is never above the guess.
        return np.where(np.isnan(qualities), np.nan, np.minimum(bounds, qualities)).astype(
            np.float32
        )
