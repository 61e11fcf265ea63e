"""The regressors: how many effective parameters they have, and what they do with odd rows."""

import numpy as np
import pytest

from tests.stopping.synthetic import data_of
from tiercel.stopping.fitting import fit
from tiercel.stopping.ridge import MAX_PARAMETERS, fit_ridge


def test_regressors_have_at_most_ten_effective_parameters():
    draw = np.random.default_rng(12)
    evidence = draw.normal(size=(300, 2, 40))
    quality = np.clip(0.5 + 0.05 * evidence.sum(axis=2), 0.0, 1.0)
    policy = fit(data_of(evidence, quality, (1.0, 1.0)), 0.01, recall=True)
    counts = [each.num_parameters for each in policy.scores.regressors]
    counts += [each.gain.num_parameters for each in policy.continuations]
    assert len(counts) == 3 and max(counts) <= MAX_PARAMETERS
    # Nothing but the bound holds them back.
    free = fit_ridge(evidence[:, 0], quality[:, 0], max_parameters=50.0)
    assert free.num_parameters > 20 > MAX_PARAMETERS >= counts[0] > 9


def test_effective_parameters_are_the_trace_of_what_maps_targets_to_fits():
    draw = np.random.default_rng(13)
    rows, targets = draw.normal(size=(50, 6)), draw.normal(size=50)
    linear = fit_ridge(rows, targets)
    # A fit that is linear in its targets, at the penalty that was found.
    design = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    penalties = np.logspace(6, -4, 31) * 50
    traces = [
        1 + np.trace(design @ np.linalg.solve(design.T @ design + each * np.eye(6), design.T))
        for each in penalties
    ]
    assert np.min(np.abs(np.array(traces) - linear.num_parameters)) < 1e-9


def test_ridge_finds_a_line_and_stays_flat_on_noise():
    draw = np.random.default_rng(14)
    rows = draw.normal(size=(500, 5))
    line = fit_ridge(rows, 2.0 + 3.0 * rows[:, 1])
    assert line(np.array([[0, 1.0, 0, 0, 0]])) == pytest.approx([5.0], abs=0.01)
    noise = fit_ridge(rows, draw.normal(size=500))
    assert np.abs(noise(rows)).max() < 0.3


def test_far_evidence_counts_as_four_deviations_and_unknown_as_the_mean():
    draw = np.random.default_rng(15)
    rows = draw.normal(size=(500, 1))
    line = fit_ridge(rows, rows[:, 0] - rows.mean())
    far, farther, unknown = line(np.array([[5.0], [1e9], [np.nan]]))
    assert far == farther
    assert unknown == pytest.approx(0.0, abs=0.01)


def test_a_flag_is_centred_and_not_scaled():
    draw = np.random.default_rng(16)
    rows = np.column_stack((draw.normal(0, 7, 400), draw.random(400) < 0.02))
    line = fit_ridge(rows, draw.normal(size=400), num_flags=1)
    assert line.scales == pytest.approx([rows[:, 0].std(), 1.0])
    assert line.means == pytest.approx(rows.mean(axis=0))


def test_the_mean_of_the_fit_is_that_of_the_targets_whatever_lies_far_out():
    draw = np.random.default_rng(17)
    rows = draw.lognormal(0.0, 2.0, (300, 2))
    targets = rows[:, 0] ** 0.3 + draw.normal(size=300)
    assert fit_ridge(rows, targets)(rows).mean() == pytest.approx(targets.mean())


def test_columns_that_say_nothing_are_held_back():
    """The control: the least error on the rows themselves would take all that is allowed."""
    found = []
    for seed in range(15):
        draw = np.random.default_rng(seed)
        found.append(fit_ridge(draw.normal(size=(60, 8)), draw.normal(size=60)).num_parameters)
    assert np.median(found) < 5.0
