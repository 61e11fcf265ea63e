"""Fits the policies that learn from scores, and writes them where the router finds them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tiercel.errors import InvalidRequest
from tiercel.routing.fitted import State, save_fitted
from tiercel.routing.imitation import fit_softmax, neighbours
from tiercel.routing.linucb import LinUcb, LinUcbLearner, LinUcbState
from tiercel.routing.policy import Forecast, Situation
from tiercel.routing.reduction import Floats, Reduction, fit_reduction


def fit_policies(
    features: Floats,
    scores: Floats,
    costs: Floats,
    arms: Sequence[str],
    folder: Path,
    *,
    features_definition: str,
    size: int = 32,
    seed: int = 0,
) -> dict[str, int]:
    """Write metallm, reward_argmax and knn to `folder`; return how many prompts each saw.

    `features` [n, num_features], `scores` [n, arms] and `costs` [n, arms], these two in the same
    unit; a score that was not measured is NaN. Raises InvalidRequest with fewer than two prompts
    of which all scores are known.
    """
    whole = np.isfinite(scores).all(axis=1)
    if whole.sum() < 2:
        raise InvalidRequest("scores", int(whole.sum()), "prompts are known of all arms: 2 needed")
    reduction = fit_reduction(features, size)
    rows = reduction.apply(features)
    states: dict[str, State] = {
        "metallm": as_a_bandit(features, scores - costs, arms, reduction, seed=seed),
        "reward_argmax": fit_softmax(rows[whole], scores[whole], arms),
        "knn": neighbours(rows, scores, arms),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, state in states.items():
        path = folder / f"{name}.safetensors"
        save_fitted(path, reduction, state, features_definition=features_definition)
    return {"metallm": len(rows), "reward_argmax": int(whole.sum()), "knn": len(rows)}


def as_a_bandit(
    features: Floats,
    rewards: Floats,
    arms: Sequence[str],
    reduction: Reduction,
    *,
    seed: int = 0,
) -> LinUcbState:
    """Return what LinUCB knows after each prompt came once, in a random order.

    Of each prompt it sees the reward of the arm that it takes, and no other.
    """
    learner = LinUcbLearner(arms, reduction)
    for index in np.random.default_rng(seed).permutation(len(features)).tolist():
        known = _known(arms, rewards[index])
        if not known:
            continue
        forecasts = tuple(Forecast(arm) for arm in known)
        situation = Situation(forecasts, next(iter(known)), features=features[index])
        (taken,) = LinUcb(reduction, learner.state()).weigh(situation).probabilities
        learner.learn(taken, features[index], known[taken])
    return learner.state()


def _known(arms: Sequence[str], rewards: Floats) -> Mapping[str, float]:
    pairs = zip(arms, rewards.tolist(), strict=True)
    return {arm: reward for arm, reward in pairs if np.isfinite(reward)}
