"""The weights that a drafter's training begins with: the target's own, and a closed form.

The projection of [target's hidden state, next token's embedding] is fitted by ridge regression on
the hidden state that follows, so that the drafter is of use before its first step of training.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tiercel.distillation.lessons import Lesson
from tiercel.engines.distilled_file import DrafterShape
from tiercel.models.weights import ModelConfig, Weights

Matrix = NDArray[np.float32]

_LAYER = (
    *("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"),
    *("ffn_norm", "ffn_gate", "ffn_up", "ffn_down"),
)
# What a layer adds to its input comes through these: at 0 it adds nothing.
_OUTWARD = ("attn_output", "ffn_down")
# Of the ridge, as a share of the mean square of the features.
_PENALTY = 1e-2
# Tokens that the closed form is fitted on.
_MOST_TOKENS = 200_000


def shape_of(
    config: ModelConfig, *, num_inputs: int, num_outputs: int, uses_hidden: bool
) -> DrafterShape:
    """Return the shape of a drafter for a target of shape `config`: one layer, or two of tokens."""
    return DrafterShape(
        hidden_size=config.hidden_size,
        num_layers=1 if uses_hidden else 2,
        num_heads=config.num_heads,
        num_kv_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        intermediate_size=config.intermediate_size,
        rope_theta=config.rope_theta,
        norm_epsilon=config.norm_epsilon,
        num_inputs=num_inputs,
        num_outputs=num_outputs,
        uses_hidden=uses_hidden,
    )


def first_weights(
    target: Weights, shape: DrafterShape, ids: NDArray[np.uint32], lessons: Iterable[Lesson]
) -> dict[str, Matrix]:
    """Return the weights by name.

    The layers are the target's first and last ones, the last one alone if there is but one. Where
    the projection is fitted, the layer begins by adding nothing to it.
    """
    table = target.dense("token_embd.weight")
    known = table[ids]
    head = table if target.config.tied_embeddings else target.dense("output.weight")
    gain = target.dense("output_norm.weight")
    weights = {
        "token_embd.weight": np.concatenate([known, known.mean(axis=0, keepdims=True)]),
        "output_norm.weight": gain,
        "output.weight": head[ids[: shape.num_outputs]],
    }
    last = target.config.num_layers - 1
    for layer in range(shape.num_layers):
        source = layer if layer < shape.num_layers - 1 else last
        for part in _LAYER:
            weights[f"blk.{layer}.{part}.weight"] = target.dense(f"blk.{source}.{part}.weight")
    if shape.uses_hidden:
        weights["fc.weight"] = _fitted(table, gain, lessons)
        for part in _OUTWARD:
            weights[f"blk.0.{part}.weight"] = np.zeros_like(weights[f"blk.0.{part}.weight"])
    return weights


def _fitted(table: Matrix, gain: Matrix, lessons: Iterable[Lesson]) -> Matrix:
    """Return the ridge solution [hidden, 2 hidden] for the state that follows, before the gain.

    Minimises |next / gain - W [state, embedding]|^2 + penalty |W|^2 over all pairs in a row.
    """
    size = table.shape[1]
    squares = np.zeros((2 * size, 2 * size))
    products = np.zeros((2 * size, size))
    count = 0
    for lesson in lessons:
        hidden = lesson.thoughts.hidden.astype(np.float32)
        tokens = np.array(lesson.answer.token_ids[:-1], np.int64)
        features = np.concatenate([hidden[:-1], table[tokens]], axis=1)
        squares += features.T @ features
        products += features.T @ (hidden[1:] / gain)
        count += len(tokens)
        if count >= _MOST_TOKENS:
            break
    scales = np.concatenate(
        [
            np.full(size, np.trace(part) / size)
            for part in (squares[:size, :size], squares[size:, size:])
        ]
    )
    solved = np.linalg.solve(squares + np.diag(_PENALTY * scales + 1e-9), products)
    return np.ascontiguousarray(solved.T, np.float32)
