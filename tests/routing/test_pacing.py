"""The price of cost under a budget: where it goes, and what answers cost on the way."""

from dataclasses import replace

import numpy as np
import pytest

from tiercel.routing.pacing import Pacing

PACING = Pacing(target=2.0)
# Qualities and costs of three plans; those of a prompt lie around them.
QUALITY, COST = np.array([0.3, 0.6, 0.8]), np.array([1.0, 2.0, 8.0])


def costs(pacing: Pacing, num_answers: int = 6000, *, sign: float = 1.0) -> np.ndarray:
    """What each answer of a made-up stream costs under the best plan at the weight of its time."""
    rng = np.random.default_rng(3)
    pressure, batch, spent = 0.0, [], []
    for _ in range(num_answers):
        quality = QUALITY + rng.normal(0.0, 0.1, 3)
        cost = COST * rng.lognormal(0.0, 0.3)
        chosen = int(np.argmax(quality - sign * pacing.cost_weight(pressure) * cost))
        spent.append(cost[chosen])
        batch.append(cost[chosen])
        if len(batch) == pacing.min_answers:
            pressure = pacing.stepped(pressure, float(np.mean(batch)))
            batch = []
    return np.array(spent)


@pytest.mark.parametrize("target", [1.2, 2.0, 5.0])
def test_the_mean_cost_goes_to_the_target(target: float):
    spent = costs(replace(PACING, target=target))
    assert spent[1000:].mean() == pytest.approx(target, rel=0.03)
    assert costs(replace(PACING, target=1e9))[1000:].mean() > 6.0, "it is not cheap by itself"


def test_with_the_wrong_sign_it_does_not():
    assert costs(PACING, sign=-1.0)[1000:].mean() > 1.5 * PACING.target


def test_a_step_has_a_size_and_ends():
    assert PACING.stepped(0.3, 2.0) == 0.3
    assert PACING.stepped(0.3, 3.0) == pytest.approx(0.3 + 0.05 * 0.5)
    assert PACING.stepped(0.3, 1e6) == pytest.approx(0.35)
    assert PACING.stepped(0.01, 0.0) == 0.0
    assert PACING.stepped(10.0, 1e6) == 10.0
    assert PACING.cost_weight(0.3) == pytest.approx(0.15)


def test_what_is_spent_in_all_is_bounded_by_where_the_pressure_went():
    pacing = replace(PACING, max_step=1e9, max_pressure=1e9)
    pressure, total = 1.0, 0.0
    for mean in (5.0, 1.0, 2.5, 0.5, 3.0) * 20:
        pressure = pacing.stepped(pressure, mean)
        total += mean
    owed = 2.0 * (pressure - 1.0) / pacing.gain
    assert total - 100 * 2.0 == pytest.approx(owed)
