"""Fits kinds and the linear map, whose penalty is the best on prompts held out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import softmax

from tiercel.prediction.quality.kinds import Flags, fitted_kinds, flags_of, kind_outputs
from tiercel.prediction.quality.linear_fitting import fitted_linear
from tiercel.prediction.quality.settings import QualitySettings
from tiercel.prediction.quality.targets import Targets
from tiercel.prediction.quality.weights import Scaling, Weights

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What is said of each prompt by weights that were fitted without its group."""

    outputs: Floats  # [n, outputs]
    kinds: Floats  # [n, kinds]


@dataclass(frozen=True, eq=False)
class _Fitter:
    """Scaled prompts, what is wanted of them, and their kinds."""

    rows: csr_matrix
    targets: Targets
    flags: Flags
    settings: QualitySettings

    def some(self, index: NDArray[np.bool_]) -> "_Fitter":
        rows, flags = self.rows[index], self.flags[index]
        return _Fitter(rows, self.targets.rows(index), flags, self.settings)

    def kinds(self) -> tuple[Floats, Floats, Floats]:
        """Return the weights and biases of kinds, and what each kind puts out."""
        kind, biases = fitted_kinds(self.rows, self.flags, self.settings.kind_penalty)
        return _rounded(kind), biases, kind_outputs(self.targets, self.flags)

    def linear(
        self, outputs: Floats, penalties: Sequence[float], start: Floats | None = None
    ) -> Floats:
        """Return the linear map on top of what the prompts' own kinds put out."""
        offsets = self.flags.astype(np.float32) @ outputs
        apart = self.settings.penalty_apart
        return _rounded(fitted_linear(self.rows, self.targets, offsets, penalties, apart, start))


def fitted_weights(
    features: Floats,
    targets: Targets,
    kinds: Sequence[str],
    folds: NDArray[np.intp],
    settings: QualitySettings,
) -> tuple[Weights, HeldOut]:
    """Return weights, and what is said of each row by such that were fitted without its fold.

    `folds` [n] are numbers below `settings.num_folds`; penalties are chosen on what was held out.
    """
    scaling = Scaling.of(features)
    whole = _Fitter(csr_matrix(scaling(features)), targets, flags_of(kinds), settings)
    by_penalty, odds = _held_out(whole, folds)
    penalties, outputs = _best(by_penalty, targets, settings)
    kind, biases, of_kinds = whole.kinds()
    linear = whole.linear(of_kinds, penalties)
    return Weights(scaling, kind, biases, of_kinds, linear), HeldOut(outputs, odds)


def _held_out(whole: _Fitter, folds: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Return outputs by penalty [penalties, n, outputs] and odds of kinds [n, kinds]."""
    penalties = whole.settings.penalties
    outputs = np.zeros((len(penalties), *whole.targets.values.shape), np.float32)
    odds = np.zeros(whole.flags.shape, np.float32)
    for fold in range(whole.settings.num_folds):
        held = folds == fold
        fitter, rows = whole.some(~held), whole.rows[held]
        kind, biases, of_kinds = fitter.kinds()
        odds[held] = softmax(rows @ kind + biases, axis=1)
        linear = None
        for at in reversed(range(len(penalties))):
            linear = fitter.linear(of_kinds, (penalties[at],) * 3, linear)
            outputs[at, held] = odds[held] @ of_kinds + rows @ linear
    return outputs, odds


def _best(
    by_penalty: Floats, targets: Targets, settings: QualitySettings
) -> tuple[list[float], Floats]:
    """Return the best penalty of each sort of output, and the outputs under them."""
    penalties, outputs = [], by_penalty[0].copy()
    losses = [targets.losses(one)[0] for one in by_penalty]
    for part in targets.parts:
        at = int(np.argmin([one[:, part].sum() for one in losses]))
        penalties.append(settings.penalties[at])
        outputs[:, part] = by_penalty[at][:, part]
    return penalties, outputs


def _rounded(part: Floats) -> Floats:
    """Return what float16 holds of a matrix: it is stored so."""
    return part.astype(np.float16).astype(np.float32)
