"""From the wanted rows of passes back to the steps that asked for them."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from tiercel.engines.checks import check_logits
from tiercel.engines.language_model import Logits, Step
from tiercel.engines.torch_passes import Piece
from tiercel.engines.torch_rank import PassResults

Rows = NDArray[np.float32]


class Results:
    """The rows of one call of `extend`, filled pass by pass."""

    def __init__(self, steps: Sequence[Step], vocab_size: int) -> None:
        """Start with nothing for each of the steps."""
        self._steps = steps
        self._logits: list[list[Rows]] = [[] for _ in steps]
        self._hidden: list[list[Rows]] = [[] for _ in steps]
        self._none = np.empty((0, vocab_size), np.float32)

    def add(self, pieces: Sequence[Piece], results: PassResults) -> None:
        """Take a pass's rows, which are those of `pieces` in order; raises ModelFault for NaN."""
        check_logits(_on_host(results.logits.amax(dim=-1, keepdim=True)))
        self._share_out(pieces, _on_host(results.logits), self._logits)
        if any(self._steps[piece.step].hidden is not None for piece in pieces):
            self._share_out(pieces, _on_host(results.hidden), self._hidden)

    def finished(self) -> list[Logits]:
        """Return each step's logits, and fill the hidden states that steps want."""
        for step, rows in zip(self._steps, self._hidden, strict=True):
            if step.hidden is not None and step.num_logits:
                np.concatenate(rows, out=step.hidden)
        return [
            self._joined(rows) if step.num_logits else self._none
            for step, rows in zip(self._steps, self._logits, strict=True)
        ]

    def _share_out(self, pieces: Sequence[Piece], rows: Rows, to: list[list[Rows]]) -> None:
        start = 0
        for piece in pieces:
            if piece.num_wanted:
                to[piece.step].append(rows[start : start + piece.num_wanted])
            start += piece.num_wanted

    def _joined(self, rows: list[Rows]) -> Logits:
        return rows[0] if len(rows) == 1 else np.concatenate(rows)


def _on_host(tensor: torch.Tensor) -> Rows:
    """Return a tensor's numbers in float32, in memory that the device can write directly."""
    tensor = tensor.float()
    if tensor.is_cuda:
        tensor = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor)
    rows: Rows = tensor.numpy()
    return rows
