"""Fits what evidence adds to a prediction: logistic regression on logits of rows held out."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from tiercel.prediction.quality.weights import LIMIT, EvidenceWeights, Floats

Doubles = NDArray[np.float64]


def fitted_evidence(
    logits: Floats, evidence: Floats, scores: Floats, penalty: float
) -> EvidenceWeights | None:
    """Return the weights for logits and scores [n, plans] and evidence [n, plans, e].

    Each prompt is looked at several times: when one plan has begun, and when the first few have.
    None if there is no evidence at all. Of the logits no row's model may have seen the row.
    """
    if not evidence.shape[2] or not np.isfinite(evidence).any():
        return None
    known = np.isfinite(evidence)
    counts = np.maximum(known.sum(axis=0), 1)
    means = (np.where(known, evidence, 0.0).sum(axis=0) / counts).astype(np.float32)
    spreads = np.sqrt(np.where(known, (evidence - means) ** 2, 0.0).sum(axis=0) / counts)
    scales = np.where(spreads > 1e-6, 1.0 / np.maximum(spreads, 1e-6), 0.0).astype(np.float32)
    masked = [np.where(mask[:, None], evidence, np.nan) for mask in begun_masks(logits.shape[1])]
    designs = [terms(one, means, scales) for one in masked]
    fits = [
        _fitted(designs, logits[:, plan], scores[:, plan], penalty)
        for plan in range(logits.shape[1])
    ]
    return _weights(np.stack(fits, axis=1), means, scales)


def begun_masks(num_plans: int) -> NDArray[np.bool_]:
    """Return which plans have begun in each situation that is learned from, [situations, plans]."""
    alone = np.eye(num_plans, dtype=bool)
    first_few = np.tril(np.ones((num_plans, num_plans), bool))[1:]
    return np.vstack((alone, first_few))


def terms(evidence: Floats, means: Floats, scales: Floats) -> Floats:
    """Return [n, plans x (1 + e)]: has it begun, and its scaled evidence; zeros if it has not."""
    begun = np.isfinite(evidence).all(axis=2, keepdims=True)
    scaled = np.clip((np.nan_to_num(evidence) - means) * scales, -LIMIT, LIMIT)
    both = np.concatenate((begun, np.where(begun, scaled, 0.0)), axis=2)
    return both.reshape(len(evidence), -1).astype(np.float32)


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
    num_plans, num_features = means.shape
    each = fits[2:].reshape(num_plans, 1 + num_features, num_plans).astype(np.float32)
    return EvidenceWeights(
        means,
        scales,
        logit=fits[1].astype(np.float32),
        begun=each[:, 0],
        evidence=each[:, 1:],
        biases=fits[0].astype(np.float32),
    )
