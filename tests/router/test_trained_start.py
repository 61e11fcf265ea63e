"""Where a cascade begins by fitted policies, against what really came of each start."""

from dataclasses import replace

import numpy as np
import pytest

from services.router.forecasts.trained_start import TrainedStart
from tests.routing.situations import chosen, situation
from tiercel.routing.cascade import Cascade
from tiercel.routing.policy import Forecast
from tiercel.stopping.fitting import fit
from tiercel.stopping.policy import StoppingPolicy
from tiercel.stopping.policy_file import of_json, to_json
from tiercel.stopping.programme import in_order
from tiercel.stopping.replay import replay
from tiercel.stopping.stages import StageData

WEIGHT, SECONDS = 0.05, (2.0, 6.0)
STAGES = ("small", "large")


def items(count: int, seed: int, *, told: bool, forecast: bool = False) -> StageData:
    """Items of which the small tier gets half right, the large one nine of ten.

    Evidence is `told` which, or says nothing. With `forecast` it is known beforehand which of the
    prompts are next to always beyond the small tier: half of them.
    """
    draw = np.random.default_rng(seed)
    chances = np.where(draw.random(count) < 0.5, 0.1, 0.9)
    right = draw.random((count, 2)) < np.stack((chances, np.full(count, 0.9)), axis=1)
    quality = right.astype(np.float64)
    seen = quality if told else draw.random((count, 2))
    return StageData(
        stages=STAGES,
        evidence_names=("sure",),
        evidence=seen[:, :, None] + draw.normal(0, 0.01, (count, 2, 1)),
        kinds=("one",) * count,
        quality=quality,
        seconds=np.tile(in_order(SECONDS), (count, 1, 1)),
        groups=tuple(map(str, range(count))),
        prefix_tokens=16,
        forecasts=np.stack((chances, np.full(count, 0.9)), axis=1) if forecast else None,
    )


def forecasts_of(*qualities: float | None, seconds=SECONDS) -> tuple[Forecast, ...]:
    return tuple(
        Forecast(name, of, quality)
        for name, of, quality in zip(STAGES, seconds, qualities, strict=False)
    )


def asked(*forecasts: Forecast, **fields):
    return situation(*forecasts, may_escalate=True, kind="one", **{"cost_weight": WEIGHT} | fields)


def by(policy: StoppingPolicy) -> Cascade:
    again = of_json(to_json(policy).encode())  # as a router reads it
    return Cascade(ahead=TrainedStart([again], STAGES))


@pytest.mark.parametrize(("told", "start", "thumb"), [(True, 0, 1), (False, 1, 0)])
def test_it_begins_where_that_turns_out_best_and_the_rule_of_thumb_does_not(told, start, thumb):
    # The large tier's own seconds are such that the rule of thumb, which always takes half of the
    # failures to be seen, errs in each case.
    seconds = SECONDS if told else (2.0, 8.0)
    train, test = (timed(items(400, seed, told=told), seconds) for seed in (0, 1))
    policy = fit(train, WEIGHT, recall=False)
    came = [replay(policy, test, at).value(WEIGHT) for at in (0, 1)]
    assert int(np.argmax(came)) == start
    seen = asked(*forecasts_of(0.5, 0.9, seconds=seconds))
    assert chosen(Cascade(), seen) == STAGES[thumb], "or this shows nothing"
    assert chosen(by(policy), seen) == STAGES[start]
    worth = [TrainedStart([policy], STAGES).value(seen, one, WEIGHT) for one in seen.forecasts]
    assert worth == pytest.approx(came, abs=0.09)  # two draws of 400 items


def timed(data: StageData, seconds: tuple[float, float]) -> StageData:
    return replace(data, seconds=np.tile(in_order(seconds), (len(data), 1, 1)))


@pytest.fixture(scope="module")
def told() -> StoppingPolicy:
    return fit(items(400, 0, told=True), WEIGHT, recall=False)


@pytest.fixture(scope="module")
def seeing() -> StoppingPolicy:
    return fit(items(400, 0, told=True, forecast=True), WEIGHT, recall=False)


def test_what_is_predicted_of_a_prompt_counts(told, seeing):
    hard, easy = (asked(*forecasts_of(quality, 0.9), cost_weight=0.1) for quality in (0.1, 0.9))
    assert [chosen(by(seeing), seen) for seen in (hard, easy)] == ["large", "small"]
    assert chosen(by(seeing), asked(*forecasts_of(None, None))) == "small", "as it is on average"
    ahead = TrainedStart([seeing], STAGES)
    blind = [ahead.value(asked(one), one, WEIGHT) for one in forecasts_of(None, None)[1:]]
    assert blind == pytest.approx([0.9 - WEIGHT * 6.0], abs=0.06)
    # By its kind alone every prompt gains as much.
    gains = [
        TrainedStart([told], STAGES).value(seen, seen.forecasts[0], WEIGHT) - quality
        for seen, quality in ((hard, 0.1), (asked(*forecasts_of(0.2, 0.9)), 0.2))
    ]
    assert gains[0] == pytest.approx(gains[1])


def test_seconds_are_those_of_now_and_priced_at_the_caller_s_weight(told):
    ahead = TrainedStart([told], STAGES)
    usual = asked(*forecasts_of(0.5, 0.9))
    slow = asked(*forecasts_of(0.5, 0.9, seconds=(2.0, 26.0)))
    small = usual.forecasts[0]
    worth = ahead.value(usual, small, WEIGHT)
    # Half of all answers end at the large tier, whose twenty seconds more are a point each.
    assert worth - ahead.value(slow, small, WEIGHT) == pytest.approx(0.5 * 20.0 * WEIGHT, abs=0.08)
    free, dear = (ahead.value(usual, small, weight) for weight in (0.0, 1.0))
    assert free == pytest.approx(0.95, abs=0.06)
    assert free - dear == pytest.approx(2.0 + 0.5 * 6.0, abs=0.4)
    unknown = asked(*forecasts_of(0.5, 0.9, seconds=(None, None)))
    assert ahead.value(unknown, unknown.forecasts[0], WEIGHT) == pytest.approx(worth)


def test_what_was_not_fitted_is_not_said(told):
    ahead = TrainedStart([told], STAGES)
    small, large = forecasts_of(0.5, 0.9)
    assert ahead.value(asked(small), small, WEIGHT) is None, "nothing may take over"
    other = Forecast("other", 1.0, 0.6)
    assert ahead.value(asked(other), other, WEIGHT) == pytest.approx(0.55), "nothing takes it over"
    before = TrainedStart([replace(told, starts=())], STAGES)
    assert before.value(asked(small, large), small, WEIGHT) is None
    reason = Cascade(ahead=before).weigh(asked(small, large)).reason
    assert "by a rule of thumb" in reason


def test_of_several_check_points_the_best_counts(told):
    seen = asked(*forecasts_of(0.5, 0.9))
    blind = fit(items(400, 0, told=False), WEIGHT, recall=False)
    each = [TrainedStart([one], STAGES) for one in (told, blind)]
    both = TrainedStart([blind, told], STAGES)
    for one in seen.forecasts:
        alone = [ahead.value(seen, one, WEIGHT) for ahead in each]
        assert both.value(seen, one, WEIGHT) == max(alone)
