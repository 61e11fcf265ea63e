"""Policies that are fitted find a truth that is known, keep it in a file, and learn no further."""

from dataclasses import replace

import numpy as np
import pytest

from tests.routing.situations import LARGE, SMALL, chosen, situation
from tiercel.errors import InvalidRequest, ModelUnavailable, NotFound
from tiercel.evaluation.column_answers import outline_of
from tiercel.routing.answers import answer_of
from tiercel.routing.fitted import load_fitted, save_fitted
from tiercel.routing.fitting import fit_policies
from tiercel.routing.imitation import (
    NearestNeighbours,
    NeighbourState,
    RewardArgmax,
    SoftmaxState,
    fit_softmax,
    neighbours,
)
from tiercel.routing.linucb import LinUcb, LinUcbLearner, LinUcbState
from tiercel.routing.policy import Forecast
from tiercel.routing.reduction import fit_reduction
from tiercel.routing.registry import PolicySettings, make

ARMS = ("small", "large")
NUMBER, WIDTH = 400, 6
KEEP = "features of these tests"


@pytest.fixture(scope="module")
def prompts():
    """Easy prompts, which both get right, and hard ones, which only the large one does."""
    generator = np.random.default_rng(3)
    hard = generator.random(NUMBER) < 0.5
    features = generator.normal(size=(NUMBER, WIDTH)).astype(np.float32)
    features[:, 2] += np.where(hard, 4.0, -4.0)
    scores = np.stack([~hard, np.ones(NUMBER)], axis=1).astype(np.float32)
    return features, scores


@pytest.fixture(scope="module")
def reduction(prompts):
    return fit_reduction(prompts[0], 4)


EASY, HARD = (np.array([0, 0, x, 0, 0, 0], np.float32) for x in (-4, 4))


def of(features, **wishes):
    return situation(replace(SMALL), replace(LARGE), features=features, **wishes)


@pytest.fixture(scope="module")
def bandit(prompts, reduction):
    learner = LinUcbLearner(ARMS, reduction)
    for row, scores in zip(*prompts, strict=True):
        for arm, score, cost in zip(ARMS, scores, (0.1, 0.5), strict=True):
            learner.learn(arm, row, float(score) - 0.5 * cost)
    return learner.state()


def test_linucb_learns_which_prompts_need_the_dear_arm(reduction, bandit):
    policy = LinUcb(reduction, bandit)
    assert chosen(policy, of(EASY)) == "small"
    assert chosen(policy, of(HARD)) == "large"


def test_linucb_is_the_ridge_regression_it_is_said_to_be(prompts, reduction, bandit):
    rows = reduction.apply(prompts[0]).astype(np.float64)
    rewards = prompts[1][:, 1] - 0.25
    gram = rows.T @ rows + np.eye(rows.shape[1])
    np.testing.assert_allclose(
        bandit.weights[1], np.linalg.solve(gram, rows.T @ rewards), atol=1e-6
    )
    np.testing.assert_allclose(bandit.inverses[1], np.linalg.inv(gram), atol=1e-8)


def test_an_arm_that_was_never_tried_is_tried(reduction):
    learner = LinUcbLearner(ARMS, reduction)
    for _ in range(50):
        learner.learn("small", EASY, 0.5)
    assert chosen(LinUcb(reduction, learner.state(), alpha=2.0), of(EASY)) == "large"
    assert chosen(LinUcb(reduction, learner.state(), alpha=0.0), of(EASY)) == "small"
    with pytest.raises(NotFound, match="no arm 'other'"):
        learner.learn("other", EASY, 1.0)


def test_a_policy_keeps_to_the_moment_at_which_it_was_made(prompts, reduction):
    learner = LinUcbLearner(ARMS, reduction)
    policy = LinUcb(reduction, learner.state())
    before = policy.weigh(of(EASY))
    learner.learn("large", EASY, 5.0)
    assert policy.weigh(of(EASY)) == before


def test_the_distilled_softmax_finds_its_optimum(prompts, reduction):
    rows, scores = reduction.apply(prompts[0]), prompts[1]
    state = fit_softmax(rows, scores, ARMS, penalty=1e-2)
    aims = np.exp(scores / 0.2) / np.exp(scores / 0.2).sum(axis=1, keepdims=True)
    logits = rows.astype(np.float64) @ state.weights.T.astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    gradient = (shares - aims).T @ rows / len(rows) + 1e-2 * state.weights
    assert np.abs(gradient).max() < 1e-3
    policy = RewardArgmax(reduction, state)
    assert chosen(policy, of(HARD)) == "large"
    assert state.weights.shape == (2, rows.shape[1])


def test_neighbours_weigh_scores_against_seconds(prompts, reduction):
    policy = NearestNeighbours(reduction, neighbours(reduction.apply(prompts[0]), prompts[1], ARMS))
    assert chosen(policy, of(EASY, cost_weight=0.01)) == "small"
    assert chosen(policy, of(HARD, cost_weight=0.01)) == "large"
    assert chosen(policy, of(HARD, cost_weight=1.0)) == "small"


def test_a_score_that_was_not_measured_counts_for_nothing(prompts, reduction):
    scores = prompts[1].copy()
    scores[:, 1] = np.nan
    policy = NearestNeighbours(reduction, neighbours(reduction.apply(prompts[0]), scores, ARMS))
    assert chosen(policy, of(HARD)) == "small"


def test_answers_that_were_never_seen_are_too_little_evidence(prompts, reduction, bandit):
    rows = reduction.apply(prompts[0])
    policies = [
        LinUcb(reduction, bandit),
        RewardArgmax(reduction, fit_softmax(rows, prompts[1], ARMS, num_steps=5)),
        NearestNeighbours(reduction, neighbours(rows, prompts[1], ARMS)),
    ]
    for policy in policies:
        odds = policy.weigh(situation(Forecast("new", 1.0), features=EASY))
        assert odds.probabilities == {"new": 1.0}
        assert odds.insufficient_evidence


def test_an_arm_stands_for_all_plans_with_its_answer(reduction, bandit):
    plans = (Forecast("slow", 2.0, answer="large"), Forecast("quick", 1.0, answer="large"))
    assert chosen(LinUcb(reduction, bandit), situation(*plans, features=HARD)) == "quick"


def test_what_was_fitted_survives_a_file(prompts, reduction, bandit, tmp_path):
    rows = reduction.apply(prompts[0])
    states = {
        "metallm": bandit,
        "reward_argmax": fit_softmax(rows, prompts[1], ARMS, num_steps=20),
        "knn": neighbours(rows, prompts[1], ARMS),
    }
    built = {
        "metallm": LinUcb(reduction, bandit),
        "reward_argmax": RewardArgmax(reduction, states["reward_argmax"]),
        "knn": NearestNeighbours(reduction, states["knn"]),
    }
    settings = PolicySettings(fitted=tmp_path, features_definition=KEEP)
    for name, state in states.items():
        path = tmp_path / f"{name}.safetensors"
        save_fitted(path, reduction, state, features_definition=KEEP)
        for features in (EASY, HARD):
            assert make(name, settings).weigh(of(features)) == built[name].weigh(of(features))
    with pytest.raises(ModelUnavailable, match="fitted on other features"):
        make("knn", replace(settings, features_definition="others"))
    with pytest.raises(ModelUnavailable, match="holds no fitted policy"):
        load_fitted(tmp_path / "knn.safetensors", SoftmaxState, features_definition=KEEP)
    with pytest.raises(ModelUnavailable, match="holds no fitted policy"):
        load_fitted(tmp_path / "none.safetensors", LinUcbState, features_definition=KEEP)
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelUnavailable, match="holds no fitted policy"):
        load_fitted(tmp_path / "bad.safetensors", NeighbourState, features_definition=KEEP)


def test_features_of_another_number_are_refused(reduction):
    with pytest.raises(InvalidRequest, match="features=9: the policy was fitted on 6"):
        reduction.apply(np.zeros(9, np.float32))


def test_a_reduction_has_unit_variance_and_a_constant(prompts, reduction):
    rows = reduction.apply(prompts[0])
    assert rows.shape == (NUMBER, reduction.size) == (NUMBER, 5)
    np.testing.assert_allclose(rows[:, :-1].std(axis=0), 1.0, rtol=1e-3)
    assert (rows[:, -1] == 1).all()


def test_all_that_learns_is_fitted_at_once(prompts, tmp_path):
    features, scores = prompts
    costs = np.tile(np.array([0.05, 0.25], np.float32), (NUMBER, 1))
    partly = scores.copy()
    partly[: NUMBER // 4, 0] = np.nan
    counts = fit_policies(
        features, partly, costs, ARMS, tmp_path / "policies", features_definition=KEEP, size=4
    )
    assert counts == {"metallm": 400, "reward_argmax": 300, "knn": 400}
    settings = PolicySettings(fitted=tmp_path / "policies", features_definition=KEEP)
    for name in ("metallm", "knn"):
        wish = {"cost_weight": 0.05} if name == "knn" else {}
        assert chosen(make(name, settings), of(EASY, **wish)) == "small"
        assert chosen(make(name, settings), of(HARD, **wish)) == "large"
    assert chosen(make("reward_argmax", settings), of(HARD)) == "large"
    with pytest.raises(InvalidRequest, match="prompts are known of all arms"):
        fit_policies(features[:1], scores[:1], costs[:1], ARMS, tmp_path, features_definition=KEEP)


def test_a_column_of_the_matrix_stands_for_an_answer():
    names = ("tier", "a <- b:4", "a <- b:4; rule=lenient; strictness=0.5", "a; votes=4", "?")
    outlines = [outline_of(name) for name in names]
    answers = [outline and answer_of(outline.plan()) for outline in outlines]
    assert answers == ["tier", "a", "a{lenient=0.5} <- b", None, None]
