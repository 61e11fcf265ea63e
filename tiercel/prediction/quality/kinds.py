"""What kind of request a prompt is, told from its features, and what plans make of each kind.

Averages by kind are most of what few prompts can teach: they are shrunk towards the mean of all
as far as kinds differ no more than chance has it (empirical Bayes, Morris 1983).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import log_softmax

from tiercel.prediction.quality.minimum import minimum
from tiercel.prediction.quality.targets import Targets

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]


def flags_of(kinds: Sequence[str]) -> Flags:
    """Return which kind each prompt is of, [n, kinds], kinds in the order of their names."""
    names = np.array(sorted(set(kinds)))
    flags: Flags = np.array(kinds)[:, None] == names
    return flags


def fitted_kinds(rows: csr_matrix, flags: Flags, penalty: float) -> tuple[Floats, Floats]:
    """Return weights [features, kinds] and biases [kinds] of a penalised softmax regression."""
    shape = (rows.shape[1], flags.shape[1])
    wanted = flags.astype(np.float64)
    transposed = rows.T.tocsr()

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        weights, biases = flat[: -shape[1]].reshape(shape), flat[-shape[1] :]
        logs = log_softmax(rows @ weights + biases, axis=1)
        errors = np.exp(logs) - wanted
        gradient = transposed @ errors + 2 * penalty * weights
        value = penalty * float((weights**2).sum()) - float(logs[flags].sum())
        return value, np.concatenate((gradient.ravel(), errors.sum(axis=0)))

    shares = np.log((flags.sum(axis=0) + 1.0) / (len(flags) + shape[1]))
    start = np.concatenate((np.zeros(shape[0] * shape[1]), shares))
    found = minimum(loss, start)
    weights = found[: -shape[1]].reshape(shape)
    return weights.astype(np.float32), found[-shape[1] :].astype(np.float32)


def kind_outputs(targets: Targets, flags: Flags) -> Floats:
    """Return what each output is by kind, [kinds, outputs]: shrunk means, of shares as logits."""
    columns = [_shrunk(values, flags) for values in targets.values.astype(np.float64).T]
    means = np.stack(columns, axis=1)
    is_length = np.zeros(means.shape[1], bool)
    is_length[slice(*targets.num_logits)] = True
    # Half a success and half a failure more keep the logit finite.
    least = 0.5 / (np.isfinite(targets.values).sum(axis=0) + 1.0)
    shares = np.clip(np.where(is_length, 0.5, means), least, 1.0 - least)
    outputs: Floats = np.where(is_length, means, np.log(shares / (1.0 - shares))).astype(np.float32)
    return outputs


def _shrunk(values: Doubles, flags: Flags) -> Doubles:
    """Return a mean for each kind; kinds without values have the mean of all, 0 without any."""
    known = np.isfinite(values)
    counts = flags[known].sum(axis=0)
    total = float(values[known].mean()) if known.any() else 0.0
    sums = flags[known].T @ (values[known] - total)
    apart = sums / np.maximum(counts, 1)
    within = float(((values[known] - total - flags[known] @ apart) ** 2).sum())
    noise = within / max(1, int(known.sum()) - int((counts > 0).sum()))
    between = max(0.0, float((counts * apart**2).sum()) - noise * max(0, (counts > 0).sum() - 1))
    spread = between / max(1, int(counts.sum()))
    # Of a kind as many prompts' worth of the mean of all as noise is greater than differences.
    prior = noise / spread if spread > 0 else np.inf
    shrunk: Doubles = total + apart * (counts / (counts + prior) if np.isfinite(prior) else 0.0)
    return shrunk
