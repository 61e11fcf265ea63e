"""A fitted model finds what is in the data, says how sure it is, and learns from evidence."""

from dataclasses import replace

import numpy as np
import pytest

from tests.prediction.quality.prompts import ACCEPTANCE, LENGTHS, QUICK, RIGHT, examples
from tiercel.prediction.quality import fit_quality
from tiercel.prediction.quality.evidence_fitting import fitted_evidence
from tiercel.prediction.quality.fitting import dealt
from tiercel.prediction.quality.graph import graph_of
from tiercel.prediction.quality.judging import cross_validated, folds_of, records
from tiercel.prediction.quality.kinds import flags_of, kind_outputs
from tiercel.prediction.quality.session import Session
from tiercel.prediction.quality.targets import Targets
from tiercel.prediction.quality.weight_fitting import fitted_weights
from tiercel.prediction.quality.weights import LIMIT


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
    few, none = calibrating.rows(np.arange(49)), np.zeros(240, np.bool_)
    model = fit_quality(known, few, settings=QUICK, seed=0, whole=none)
    assert np.isnan(model.forecast(asked.features).bound).all()


def test_prompts_that_were_held_out_calibrate_too(known, calibrating, asked):
    few, once = calibrating.rows(np.arange(49)), np.arange(240) < 200
    model = fit_quality(known, few, settings=QUICK, seed=0, whole=once)
    assert [one.num_items for one in model.calibrations] == [249, 249]
    assert [one.num_items for one in model.informed_calibrations] != [249, 249]
    assert np.isfinite(model.forecast(asked.features).bound).all()


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
    folds = dealt(known.groups, QUICK.num_folds, 0)
    weights, held_out = fitted_weights(known.features, Targets.of(known), known.kinds, folds, QUICK)
    flags = flags_of(known.kinds)
    return weights, fitted_evidence(held_out, flags, known.evidence, known.scores, 1.0)


def in_torch(weights, evidence, rows, given):
    """Return outputs, odds of kinds and logits given evidence, by the formulas in torch."""
    torch = pytest.importorskip("torch", reason="needs the extra `torch`")
    tensors = {
        name: torch.tensor(value) for name, value in vars(weights).items() if name != "scaling"
    }
    means, scales = torch.tensor(weights.scaling.means), torch.tensor(weights.scaling.scales)
    scaled = ((torch.tensor(rows) - means) * scales).clamp(-LIMIT, LIMIT)
    odds = torch.softmax(scaled @ tensors["kind"] + tensors["kind_biases"], dim=1)
    outputs = odds @ tensors["kind_outputs"] + scaled @ tensors["linear"]
    looked = torch.tensor(given)
    begun = torch.isfinite(looked).all(dim=2, keepdim=True)
    usual = torch.einsum("nk,kpe->npe", odds, torch.tensor(evidence.means))
    apart = ((looked.nan_to_num() - usual) * torch.tensor(evidence.scales)).clamp(-LIMIT, LIMIT)
    added = torch.einsum("npe,peq->nq", apart * begun, torch.tensor(evidence.evidence))
    added += begun[:, :, 0].float() @ torch.tensor(evidence.begun)
    logits = outputs[:, :2] * torch.tensor(evidence.logit) + added
    return outputs, odds, logits + torch.tensor(evidence.biases)


def test_torch_and_onnx_agree(parts):
    weights, evidence = parts
    asked = examples(1000, seed=3)
    given = asked.evidence.copy()
    given[::3, 1] = np.nan
    given[::5, 0, 3] = np.nan  # one number is missing: the plan has not begun
    found = Session(graph_of(weights, evidence)).run(asked.features, given)
    outputs, odds, logits = in_torch(weights, evidence, asked.features, given)
    assert np.abs(found.outputs).max() > 1
    np.testing.assert_allclose(found.outputs, outputs.numpy(), atol=1e-4)
    np.testing.assert_allclose(found.hidden[:, :2], odds.numpy(), atol=1e-4)
    np.testing.assert_allclose(found.informed_logits, logits.numpy(), atol=1e-4)


def test_a_kind_is_told_from_the_request_and_few_of_a_kind_say_little(parts, asked):
    weights, _ = parts
    odds = Session(graph_of(weights, None)).run(asked.features, None).hidden[:, :2]
    assert (odds.argmax(axis=1) == flags_of(asked.kinds).argmax(axis=1)).all()
    values = np.array([[0.9]] * 50 + [[0.1]] * 50 + [[0.9]] * 2, np.float32)
    noise = np.tile([[-0.3], [0.3]], (51, 1)).astype(np.float32)
    kinds = ["a"] * 50 + ["b"] * 50 + ["c"] * 2
    means = kind_outputs(Targets(values + noise, 0), flags_of(kinds))
    shares = 1 / (1 + np.exp(-means[:, 0]))
    assert shares[:2] == pytest.approx([0.9, 0.1], abs=0.02)
    assert 0.6 < shares[2] < 0.85  # drawn to the mean of all


def test_with_kinds_that_do_not_differ_there_is_one_mean():
    random = np.random.default_rng(0)
    values = (random.random((400, 1)) < 0.5).astype(np.float32)
    means = kind_outputs(Targets(values, 0), flags_of(["a", "b", "c", "d"] * 100))
    assert np.ptp(means) < 0.15


def test_the_penalty_follows_the_data():
    """What is noise is not learned; with a signal of the text there is a linear map."""
    some = replace(examples(200, seed=4), kinds=("one",) * 200)
    noise = replace(some, scores=np.random.default_rng(1).permuted(some.scores, axis=0))
    sizes = []
    for one in (some, noise):
        settings = replace(QUICK, penalties=(3.0, 1e4))
        folds = dealt(one.groups, 2, 0)
        weights, _ = fitted_weights(one.features, Targets.of(one), one.kinds, folds, settings)
        sizes.append(float(np.abs(weights.linear[:, :2]).sum()))
    assert sizes[1] < 0.01 * sizes[0]


def test_predictions_are_judged_on_prompts_that_the_model_did_not_see(known):
    whole = np.arange(240) < 200
    qualities = cross_validated(known, whole, QUICK, 0, 2)
    assert (np.isfinite(qualities).all(axis=1) == whole).all()
    small, large = records(known, whole, qualities, folds_of(known, 0, 2))
    assert (small.name, small.num_scores, large.num_lengths) == ("small", 200, 240)
    # Nothing but its kind says whether a prompt is answered well, and that is the baseline.
    assert small.skill == pytest.approx(0, abs=0.1)
    assert small.auroc == pytest.approx(0.5, abs=0.2)
    assert small.calibration_error < 0.15
    perfect, _ = records(known, whole, known.scores.astype(np.float64), folds_of(known, 0, 2))
    assert (perfect.skill, perfect.auroc, perfect.calibration_error) == (1, 1, 0)
