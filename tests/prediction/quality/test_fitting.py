"""A fitted model finds what is in the data, says how sure it is, and learns from evidence."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.prediction.quality.prompts import ACCEPTANCE, LENGTHS, QUICK, RIGHT, examples
from tiercel.prediction.quality import fit_quality
from tiercel.prediction.quality.evidence_fitting import fitted_evidence, terms
from tiercel.prediction.quality.fitting import dealt
from tiercel.prediction.quality.graph import graph_of
from tiercel.prediction.quality.judging import cross_validated, records
from tiercel.prediction.quality.members import trained
from tiercel.prediction.quality.session import Session
from tiercel.prediction.quality.targets import Targets
from tiercel.prediction.quality.torch_network import Network


def of_kind(asked, values, kind):
    return values[np.array(asked.kinds) == kind].mean(axis=0)


def test_it_tells_which_plan_is_good_at_what(model, asked):
    forecast = model.forecast(asked.features)
    for kind in ("sum", "code"):
        assert of_kind(asked, forecast.quality, kind) == pytest.approx(RIGHT[kind], abs=0.12)
        assert of_kind(asked, forecast.num_tokens, kind) == pytest.approx(
            [LENGTHS[kind], 2 * LENGTHS[kind]], rel=0.3
        )
        assert of_kind(asked, forecast.acceptance, kind) == pytest.approx(
            [ACCEPTANCE[kind]], abs=0.15
        )


def test_bounds_lie_below_and_hold(model, asked):
    forecast = model.forecast(asked.features)
    assert np.isfinite(forecast.bound).all()
    assert (forecast.bound <= forecast.quality).all()
    held = [
        of_kind(asked, forecast.bound, kind) <= np.array(RIGHT[kind]) for kind in ("sum", "code")
    ]
    assert np.all(held)


def test_with_few_calibration_prompts_there_is_no_bound(known, calibrating, asked):
    model = fit_quality(known, calibrating.rows(np.arange(49)), settings=QUICK, seed=0)
    assert np.isnan(model.forecast(asked.features).bound).all()


def test_evidence_changes_what_is_said_of_plans_that_began(model, asked):
    plain, informed = (model.forecast(asked.features, one) for one in (None, asked.evidence))
    errors = [((one.quality - asked.scores) ** 2).mean(axis=0) for one in (plain, informed)]
    assert (errors[1] < 0.6 * errors[0]).all()
    assert (informed.num_tokens == plain.num_tokens).all()


def test_evidence_of_nothing_says_nothing(model, asked):
    nothing = np.full_like(asked.evidence, np.nan)
    some = nothing.copy()
    some[:100, 0] = asked.evidence[:100, 0]
    plain = model.forecast(asked.features)
    assert (model.forecast(asked.features, nothing).quality == plain.quality).all()
    mixed = model.forecast(asked.features, some)
    assert (mixed.quality[100:] == plain.quality[100:]).all()
    errors = [((one.quality - asked.scores)[:100, 0] ** 2).mean() for one in (plain, mixed)]
    assert errors[1] < 0.6 * errors[0]


def test_evidence_that_is_noise_is_not_believed(known, calibrating, asked):
    noise = replace(known, evidence=known.evidence[:, :, 1:])
    model = fit_quality(
        noise, replace(calibrating, evidence=calibrating.evidence[:, :, 1:]), settings=QUICK, seed=0
    )
    plain = model.forecast(asked.features)
    informed = model.forecast(asked.features, asked.evidence[:, :, 1:])
    errors = [((one.quality - asked.scores) ** 2).mean() for one in (plain, informed)]
    assert errors[1] > 0.9 * errors[0]


def test_what_was_not_measured_changes_nothing(known, calibrating, asked):
    """A plan's missing scores are no zeros: it is as good as where it was measured."""
    scores = known.scores.copy()
    scores[::4] = np.nan
    gaps = replace(known, scores=scores, num_tokens=np.full_like(known.num_tokens, np.nan))
    forecast = fit_quality(gaps, calibrating, settings=QUICK, seed=0).forecast(asked.features)
    assert of_kind(asked, forecast.quality, "sum") == pytest.approx(RIGHT["sum"], abs=0.15)
    assert np.isnan(forecast.num_tokens).all()


def test_the_same_seed_gives_the_same_model(known, calibrating, model):
    again, other = (fit_quality(known, calibrating, settings=QUICK, seed=seed) for seed in (0, 1))
    assert again.graph == model.graph
    assert again.calibrations == model.calibrations
    assert other.graph != model.graph


def test_members_are_judged_on_groups_that_they_did_not_see():
    groups = [str(at // 3) for at in range(90)]
    hands = dealt(groups, 5, 0)
    assert all(len(set(hands[at : at + 3])) == 1 for at in range(0, 90, 3))
    assert np.bincount(hands).tolist() == [18] * 5
    assert hands.tolist() != dealt(groups, 5, 1).tolist()


@pytest.fixture(scope="module")
def parts(known):
    folds = dealt(known.groups, QUICK.num_members, 0)
    weights, held_out = trained(known.features, Targets.of(known), folds, QUICK, 0)
    evidence = fitted_evidence(held_out[:, :2], known.evidence, known.scores, 1.0)
    return weights, evidence


def test_torch_and_onnx_agree(parts):
    weights, evidence = parts
    rows = examples(1000, seed=3).features
    found = Session(graph_of(weights, evidence)).run(rows, None)
    with torch.no_grad():
        wanted = Network.of(weights)(torch.tensor(weights.scaling(rows))).numpy()
    assert np.abs(wanted).max() > 1
    np.testing.assert_allclose(found.outputs, wanted, atol=1e-4)


def test_the_graph_of_evidence_is_its_formula(parts, asked):
    weights, evidence = parts
    given = asked.evidence.copy()
    given[::3, 1] = np.nan
    given[::5, 0, 3] = np.nan  # one number is missing: the plan has not begun
    found = Session(graph_of(weights, evidence)).run(asked.features, given)
    given[::5, 0] = np.nan
    flat = terms(given, evidence.means, evidence.scales)
    each = np.concatenate((evidence.begun[:, None], evidence.evidence), axis=1).reshape(-1, 2)
    wanted = found.outputs[:, :2] * evidence.logit + flat @ each + evidence.biases
    np.testing.assert_allclose(found.informed_logits, wanted, atol=1e-4)


def test_predictions_are_judged_on_prompts_that_the_model_did_not_see(known):
    whole = np.arange(240) < 200
    qualities = cross_validated(known, whole, QUICK, 0, 2)
    assert (np.isfinite(qualities).all(axis=1) == whole).all()
    small, large = records(known, whole, qualities)
    assert (small.name, small.num_scores, large.num_lengths) == ("small", 200, 240)
    # Nothing but its kind says whether a prompt is answered well, and that is the baseline.
    assert small.skill == pytest.approx(0, abs=0.1)
    assert small.auroc == pytest.approx(0.5, abs=0.2)
    assert small.calibration_error < 0.15
    perfect, _ = records(known, whole, known.scores.astype(np.float64))
    assert (perfect.skill, perfect.auroc, perfect.calibration_error) == (1, 1, 0)
