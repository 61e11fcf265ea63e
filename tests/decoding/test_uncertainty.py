"""Entropy and margin of a model's next token, against their definitions."""

import math

import numpy as np
import pytest

from tiercel.decoding.uncertainty import uncertainty
from tiercel.errors import ModelFault

INF = math.inf


def test_entropy_and_margin_are_those_of_the_softmax():
    logits = np.random.default_rng(1).normal(scale=4.0, size=1000).astype(np.float32)
    wide = logits.astype(np.float64)
    probs = np.exp(wide) / np.exp(wide).sum()
    found = uncertainty(logits)
    assert found.entropy == pytest.approx(-(probs * np.log(probs)).sum(), rel=1e-12)
    second, first = np.sort(np.log(probs))[-2:]
    assert found.margin == pytest.approx(first - second, rel=1e-9)


@pytest.mark.parametrize(
    ("logits", "entropy", "margin"),
    [
        ([3.0, 3.0, 3.0, 3.0], math.log(4), 0.0),
        ([1e30, 0.0], 0.0, 1e30),
        ([-INF, 2.0, -INF], 0.0, INF),
        ([5.0, INF, 0.0], 0.0, INF),
        ([-INF, 1.0, 1.0], math.log(2), 0.0),
    ],
)
def test_edges(logits: list[float], entropy: float, margin: float):
    found = uncertainty(np.array(logits, np.float32))
    assert found.entropy == pytest.approx(entropy, abs=1e-12)
    assert found.margin == pytest.approx(margin)


@pytest.mark.parametrize("logits", [[math.nan, 1.0], [-INF, -INF]])
def test_no_distribution_is_a_fault(logits: list[float]):
    with pytest.raises(ModelFault):
        uncertainty(np.array(logits, np.float32))
