"""Several members, each fitted without a part of the prompts; their mean is one network again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from tiercel.prediction.quality.linear_fitting import fitted_linear
from tiercel.prediction.quality.settings import QualitySettings
from tiercel.prediction.quality.targets import Targets
from tiercel.prediction.quality.torch_network import trained_network
from tiercel.prediction.quality.weights import Scaling, Weights

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Member:
    """A linear map and a network, each already multiplied by its share."""

    linear: Floats
    inner: Floats
    inner_biases: Floats
    outer: Floats
    biases: Floats

    def __call__(self, rows: csr_matrix) -> Floats:
        hidden = np.maximum(rows @ self.inner + self.inner_biases, 0.0)
        outputs: Floats = rows @ self.linear + hidden @ self.outer + self.biases
        return outputs


def trained(
    features: Floats,
    targets: Targets,
    folds: NDArray[np.intp],
    settings: QualitySettings,
    seed: int,
) -> tuple[Weights, Floats]:
    """Return weights, and outputs [n, outputs] of each row by the member that did not see it.

    `folds` [n] are the numbers of the members that are not fitted to a row.
    """
    scaling = Scaling.of(features)
    rows = csr_matrix(scaling(features))
    held_out = np.zeros(targets.values.shape, np.float32)
    members = []
    for number in range(settings.num_members):
        held = folds == number
        member = _member(rows, targets, held, settings, seed * settings.num_members + number)
        members.append(member)
        held_out[held] = member(rows[held])
    return _merged(scaling, members), held_out


def _member(
    rows: csr_matrix,
    targets: Targets,
    held: NDArray[np.bool_],
    settings: QualitySettings,
    seed: int,
) -> _Member:
    linear, linear_biases = fitted_linear(rows[~held], targets.rows(~held), settings.linear_penalty)
    network = trained_network(rows, targets, held, settings, seed)
    share, rest = np.float32(settings.linear_share), np.float32(1.0 - settings.linear_share)
    biases = linear_biases * share + network.outer.bias.detach().numpy() * rest
    return _Member(
        linear * share,
        network.inner.detach().numpy(),
        network.inner_biases.detach().numpy(),
        network.outer.weight.detach().numpy().T * rest,
        np.asarray(biases, np.float32),
    )


def _merged(scaling: Scaling, members: list[_Member]) -> Weights:
    """Return the mean of the members, its matrices rounded to what float16 holds."""
    count = np.float32(len(members))
    return Weights(
        scaling,
        linear=_rounded(np.mean([one.linear for one in members], axis=0)),
        inner=_rounded(np.concatenate([one.inner for one in members], axis=1)),
        inner_biases=np.concatenate([one.inner_biases for one in members]),
        outer=_rounded(np.concatenate([one.outer for one in members]) / count),
        biases=np.mean([one.biases for one in members], axis=0),
    )


def _rounded(part: NDArray[np.floating]) -> Floats:
    return part.astype(np.float16).astype(np.float32)
