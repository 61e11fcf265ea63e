"""Fits what evidence adds to a prediction: logistic regression on logits of rows held out."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from tiercel.prediction.quality.kinds import Flags
from tiercel.prediction.quality.weight_fitting import HeldOut
from tiercel.prediction.quality.weights import LIMIT, EvidenceWeights, Floats

Doubles = NDArray[np.float64]

_PRIOR = 5.0  # prompts' worth of the mean of all kinds


def fitted_evidence(
    held_out: HeldOut, flags: Flags, evidence: Floats, scores: Floats, penalty: float
) -> EvidenceWeights | None:
    """Return the weights for scores [n, plans] and evidence [n, plans, e], kinds `flags`.

    Each prompt is looked at several times: when one plan has begun, and when the first few have.
    None if there is no evidence at all.
    """
    if not evidence.shape[2] or not np.isfinite(evidence).any():
        return None
    num_plans = scores.shape[1]
    means, scales = _usual(evidence, flags)
    apart = terms(evidence, held_out.kinds, means, scales)
    designs = [(apart * mask[:, None]).reshape(len(apart), -1) for mask in begun_masks(num_plans)]
    fits = [
        _fitted(designs, held_out.outputs[:, plan], scores[:, plan], penalty)
        for plan in range(num_plans)
    ]
    return _weights(np.stack(fits, axis=1), means, scales)


def _usual(evidence: Floats, flags: Flags) -> tuple[Floats, Floats]:
    """Return the means by kind [kinds, plans, e] and 1 / spread within kinds [plans, e]."""
    known = np.isfinite(evidence)
    numbers = np.where(known, evidence, 0.0).astype(np.float64)
    of_all = numbers.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    kinds = flags.astype(np.float64)
    counts = np.einsum("nk,npe->kpe", kinds, known)
    sums = np.einsum("nk,npe->kpe", kinds, numbers)
    means = (sums + _PRIOR * of_all) / (counts + _PRIOR)
    apart = np.where(known, numbers - np.einsum("nk,kpe->npe", kinds, means), 0.0)
    spreads = np.sqrt((apart**2).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
    scales = np.where(spreads > 1e-3, 1.0 / np.maximum(spreads, 1e-3), 0.0)
    return means.astype(np.float32), scales.astype(np.float32)


def begun_masks(num_plans: int) -> NDArray[np.bool_]:
    """Return which plans have begun in each situation that is learned from, [situations, plans]."""
    alone = np.eye(num_plans, dtype=bool)
    first_few = np.tril(np.ones((num_plans, num_plans), bool))[1:]
    return np.vstack((alone, first_few))


def terms(evidence: Floats, kinds: Floats, means: Floats, scales: Floats) -> Floats:
    """Return [n, plans, 1 + e]: has it begun, and its evidence less what such requests show.

    `kinds` [n, kinds] are the odds of kinds. All is zero of a plan that has not begun.
    """
    begun = np.isfinite(evidence).all(axis=2, keepdims=True)
    usual = np.einsum("nk,kpe->npe", kinds, means)
    scaled = np.clip((np.nan_to_num(evidence) - usual) * scales, -LIMIT, LIMIT)
    found: Floats = np.concatenate((begun, np.where(begun, scaled, 0.0)), axis=2)
    return found.astype(np.float32)


def _fitted(designs: list[Floats], logits: Floats, scores: Floats, penalty: float) -> Doubles:
    """Return intercept, slope of the logit, and weights of the terms, for one plan."""
    known = np.isfinite(scores)
    rows = np.concatenate([one[known] for one in designs]).astype(np.float64)
    base = np.tile(logits[known].astype(np.float64), len(designs))
    wanted = np.tile(scores[known].astype(np.float64), len(designs))
    design = np.column_stack((np.ones(len(base)), base, rows))
    start = np.zeros(design.shape[1])
    start[1] = 1.0
    # The situations of a prompt are one prompt's: the loss counts it once.
    weight = 1.0 / len(designs)

    def loss(at: Doubles) -> tuple[float, Doubles]:
        outputs = design @ at
        apart = at - start
        value = weight * float((np.logaddexp(0.0, outputs) - wanted * outputs).sum())
        errors = 1.0 / (1.0 + np.exp(-outputs)) - wanted
        gradient = weight * (design.T @ errors) + penalty * apart
        return value + 0.5 * penalty * float(apart @ apart), gradient

    found: Doubles = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return found


def _weights(fits: Doubles, means: Floats, scales: Floats) -> EvidenceWeights:
    num_plans, num_features = scales.shape
    each = fits[2:].reshape(num_plans, 1 + num_features, num_plans).astype(np.float32)
    return EvidenceWeights(
        means,
        scales,
        logit=fits[1].astype(np.float32),
        begun=each[:, 0],
        evidence=each[:, 1:],
        biases=fits[0].astype(np.float32),
    )
