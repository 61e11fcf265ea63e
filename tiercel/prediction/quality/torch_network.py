"""Trains the hidden layer in torch, on rows of which most numbers are zero."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.nn import functional

from tiercel.prediction.quality.settings import QualitySettings
from tiercel.prediction.quality.targets import Targets
from tiercel.prediction.quality.weights import Weights

_BATCH = 128
_LEAST_GAIN = 1e-4
_START = 0.02  # standard deviation of the first weights


class Network(nn.Module):
    """One hidden layer, and in a whole model a linear map beside it, over scaled rows."""

    def __init__(self, num_features: int, hidden_size: int, num_outputs: int) -> None:
        super().__init__()
        self.inner = nn.Parameter(torch.randn(num_features, hidden_size) * _START)
        self.inner_biases = nn.Parameter(torch.zeros(hidden_size))
        self.outer = nn.Linear(hidden_size, num_outputs)
        self.register_buffer("linear", torch.zeros(num_features, num_outputs))
        self.linear: Tensor

    def forward(self, scaled: Tensor) -> Tensor:
        """Return outputs [n, outputs] of scaled rows [n, features]."""
        hidden = functional.relu(scaled @ self.inner + self.inner_biases)
        outputs: Tensor = self.outer(hidden) + scaled @ self.linear
        return outputs

    @classmethod
    def of(cls, weights: Weights) -> "Network":
        """Return the network of a whole model's weights."""
        num_features, hidden_size = weights.inner.shape
        network = cls(num_features, hidden_size, weights.outer.shape[1])
        parts = {
            "linear": weights.linear,
            "inner": weights.inner,
            "inner_biases": weights.inner_biases,
            "outer.weight": weights.outer.T,
            "outer.bias": weights.biases,
        }
        network.load_state_dict({name: torch.tensor(part) for name, part in parts.items()})
        return network.eval()


def trained_network(
    rows: csr_matrix,
    targets: Targets,
    held: NDArray[np.bool_],
    settings: QualitySettings,
    seed: int,
) -> Network:
    """Return the network of the epoch that the held-out rows liked best.

    `rows` are scaled, [n, features]; `held` says which of them are not fitted to. The same seed
    gives the same network.
    """
    torch.manual_seed(seed)
    network = Network(rows.shape[1], settings.hidden_size, targets.values.shape[1])
    with torch.no_grad():
        network.outer.bias.copy_(torch.tensor(targets.rows(~held).means))
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    best, best_state, waited = np.inf, _copy(network), 0
    for _ in range(settings.max_epochs):
        for batch in _batches(np.flatnonzero(~held)):
            optimizer.zero_grad()
            loss = _loss(_dropped(network, rows[batch], settings), targets, batch)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        loss_held = _held_out_loss(network, rows, targets, np.flatnonzero(held))
        waited = 0 if loss_held < best - _LEAST_GAIN else waited + 1
        if not waited:
            best, best_state = loss_held, _copy(network)
        if waited >= settings.patience:
            break
    network.load_state_dict(best_state)
    return network.eval()


def _dropped(network: Network, rows: csr_matrix, settings: QualitySettings) -> Tensor:
    """Return the outputs with dropout; a feature is dropped from all of a batch, which is quick."""
    kept = functional.dropout(torch.ones(rows.shape[1]), settings.feature_dropout)
    hidden = functional.relu(_inner(network, rows, kept))
    outputs: Tensor = network.outer(functional.dropout(hidden, settings.hidden_dropout))
    return outputs


def _inner(network: Network, rows: csr_matrix, kept: Tensor) -> Tensor:
    """Return the hidden layer's sums of sparse rows, [n, hidden]."""
    columns = torch.tensor(rows.indices, dtype=torch.int64)
    sums = functional.embedding_bag(
        columns,
        network.inner,
        torch.tensor(rows.indptr[:-1], dtype=torch.int64),
        mode="sum",
        per_sample_weights=torch.tensor(rows.data) * kept[columns],
    )
    return sums + network.inner_biases


def _loss(outputs: Tensor, targets: Targets, rows: NDArray[np.intp]) -> Tensor:
    """Return the mean over rows: cross entropy of shares, squares of lengths.

    What was not measured costs nothing.
    """
    values = torch.tensor(targets.values[rows])
    known = torch.isfinite(values)
    wanted = torch.where(known, values, torch.zeros(()))
    is_length = torch.zeros(values.shape[1], dtype=torch.bool)
    is_length[slice(*targets.num_logits)] = True
    entropy = functional.binary_cross_entropy_with_logits(
        outputs, wanted.clamp(0, 1), reduction="none"
    )
    squares = 0.5 * (outputs - wanted).square()
    return (torch.where(is_length, squares, entropy) * known).sum() / len(rows)


@torch.no_grad()
def _held_out_loss(
    network: Network, rows: csr_matrix, targets: Targets, held: NDArray[np.intp]
) -> float:
    if not len(held):
        return 0.0
    hidden = functional.relu(_inner(network, rows[held], torch.ones(rows.shape[1])))
    return float(_loss(network.outer(hidden), targets, held))


def _batches(seen: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    order = seen[torch.randperm(len(seen)).numpy()]
    return (order[at : at + _BATCH] for at in range(0, len(order), _BATCH))


def _copy(network: Network) -> dict[str, Tensor]:
    return {name: part.clone() for name, part in network.state_dict().items()}
