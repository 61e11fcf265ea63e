"""Off-policy estimates, checked on a matrix whose truth is known, with wrong odds as a control."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tiercel.cli.evaluation import app
from tiercel.errors import InvalidRequest
from tiercel.evaluation.ope.decision_records import LoggedDecision, read_log
from tiercel.evaluation.ope.estimators import Logged, estimated
from tiercel.evaluation.ope.off_policy import SCORE, SECONDS, evaluated
from tiercel.routing.policy import Forecast, Situation, Wishes
from tiercel.routing.qualities import Utility
from tiercel.routing.wrapping import Exploring

PLANS = ("small", "large")
SECONDS_OF = np.array([0.5, 3.0])
LOGGED_WEIGHT, ASKED_WEIGHT = 0.15, 0.06


class Matrix:
    """Every plan's score on every prompt, and what was predicted of it: right on average only."""

    def __init__(self, count: int = 300) -> None:
        random = np.random.default_rng(0)
        chances = np.stack([random.uniform(0, 1, count), random.uniform(0.4, 1, count)], axis=1)
        self.scores = (random.random((count, 2)) < chances).astype(float)
        self.predicted = np.clip(chances + random.normal(0, 0.15, (count, 2)), 0, 1)

    def situation(self, at: int, weight: float) -> Situation:
        forecasts = tuple(
            Forecast(name, float(SECONDS_OF[plan]), float(self.predicted[at, plan]))
            for plan, name in enumerate(PLANS)
        )
        return Situation(forecasts, "large", wishes=Wishes(cost_weight=weight))

    def truth(self, weight: float) -> float:
        """The mean score of utility at a weight, every plan's answer being known."""
        odds = [Utility().weigh(self.situation(at, weight)).probabilities for at in self.places]
        rows = zip(odds, self.scores, strict=True)
        return float(np.mean([[one.get(name, 0) for name in PLANS] @ row for one, row in rows]))

    @property
    def places(self) -> range:
        return range(len(self.scores))

    def line(self, number: int, at: int, uniform: float, share: float) -> dict[str, object]:
        """A decision of an exploring policy as the router logs it, with its outcome."""
        policy = Exploring(Utility(), share)
        situation = self.situation(at, LOGGED_WEIGHT)
        odds = policy.weigh(situation)
        chosen = odds.drawn(uniform)
        plan = PLANS.index(chosen)
        return {
            "decision_id": f"d{number}",
            "ts": 1.5,
            "kind": "",
            "policy": "utility",
            "wishes": vars(situation.wishes),
            "candidates": [
                {
                    "plan_name": one.plan_name,
                    "predicted_s": one.seconds,
                    "predicted_quality": one.quality,
                    "probability": odds.probabilities.get(one.plan_name, 0.0),
                    "refused": "",
                }
                for one in situation.forecasts
            ],
            "chosen": chosen,
            "propensity": odds.probabilities[chosen],
            "forced": "",
            "total_s": float(SECONDS_OF[plan]),
            "score": float(self.scores[at, plan]),
        }

    def log(self, seed: int, count: int = 400, share: float = 0.4) -> list[dict[str, object]]:
        random = np.random.default_rng(seed)
        places = random.integers(0, len(self.scores), count).tolist()
        drawn = zip(places, random.random(count).tolist(), strict=True)
        return [self.line(n, at, uniform, share) for n, (at, uniform) in enumerate(drawn)]


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return Matrix()


@pytest.fixture(scope="module")
def logs(matrix: Matrix) -> list[list[LoggedDecision]]:
    return [read(matrix.log(seed)) for seed in range(24)]


def read(lines: list[dict[str, object]]) -> list[LoggedDecision]:
    return [LoggedDecision.model_validate_json(json.dumps(line)) for line in lines]


def covered(logs: list[list[LoggedDecision]], truth: float) -> dict[str, float]:
    """How often each estimator's interval holds the truth."""
    asked = Wishes(cost_weight=ASKED_WEIGHT)
    found = [evaluated(log, Utility(), SCORE, wishes=asked).values for log in logs]
    return {
        values[0].estimator: float(np.mean([one.low <= truth <= one.high for one in values]))
        for values in zip(*found, strict=True)
        if values[0].low == values[0].low
    }


def test_intervals_hold_the_truth_of_the_matrix(matrix: Matrix, logs: list[list[LoggedDecision]]):
    shares = covered(logs, matrix.truth(ASKED_WEIGHT))
    # Of 24 intervals of 95 % five or more miss once in 150 times; the seeds are fixed.
    assert shares.keys() == {"ips", "snips", "clipped at 10", "doubly robust"}
    assert min(shares.values()) > 19 / 24


def test_what_was_logged_is_not_the_truth(matrix: Matrix, logs: list[list[LoggedDecision]]):
    truth = matrix.truth(ASKED_WEIGHT)
    means = [np.mean([one.score for one in log]) for log in logs]
    assert abs(np.mean(means) - truth) > 0.05


def test_guessed_propensities_do_not_cover_it(matrix: Matrix, logs: list[list[LoggedDecision]]):
    guessed = [[one.model_copy(update={"propensity": 0.5}) for one in log] for log in logs]
    assert covered(guessed, matrix.truth(ASKED_WEIGHT))["ips"] < 0.5


def test_a_doubly_robust_interval_is_the_narrowest_where_guesses_are_good(
    logs: list[list[LoggedDecision]],
):
    estimates = evaluated(logs[0], Utility(), SCORE, wishes=Wishes(cost_weight=ASKED_WEIGHT))
    widths = {one.estimator: one.high - one.low for one in estimates.values}
    assert widths["doubly robust"] < widths["snips"] < widths["ips"]


def test_seconds_are_estimated_as_scores_are(matrix: Matrix, logs: list[list[LoggedDecision]]):
    asked = Wishes(cost_weight=ASKED_WEIGHT)
    estimates = evaluated(logs[0], Utility(), SECONDS, wishes=asked)
    chosen = [Utility().weigh(matrix.situation(at, ASKED_WEIGHT)) for at in matrix.places]
    seconds = [[one.probabilities.get(name, 0) for name in PLANS] @ SECONDS_OF for one in chosen]
    robust = next(one for one in estimates.values if one.estimator == "doubly robust")
    assert robust.low - 0.1 <= np.mean(seconds) <= robust.high + 0.1


def test_estimates_by_hand():
    logged = Logged(
        outcomes=np.array([1.0, 0.0, 1.0, 1.0]),
        propensities=np.array([0.5, 0.5, 0.25, 0.75]),
        wanted=np.array([1.0, 0.0, 1.0, 0.0]),
        expected=np.array([0.6, 0.5, 0.9, 0.8]),
        guess=np.array([0.6, 0.4, 0.9, 0.7]),
        unsupported=np.zeros(4),
    )
    found = estimated(logged, min_effective=1)
    values = {one.estimator: one.value for one in found.values}
    # Weights 2, 0, 4, 0.
    assert found.effective == pytest.approx(36 / 20)
    assert found.max_weight == pytest.approx(4)
    assert values["ips"] == pytest.approx(6 / 4)
    assert values["snips"] == pytest.approx(1)
    assert values["doubly robust"] == pytest.approx((2.8 + 2 * 0.4 + 4 * 0.1) / 4)
    assert values["direct"] == pytest.approx(0.7)


def test_nothing_is_estimated_from_too_little(matrix: Matrix):
    few = evaluated(read(matrix.log(0, 60)), Utility(), SCORE)
    assert few.values == ()
    assert "effective decisions" in few.refused


def test_nothing_is_estimated_without_support(matrix: Matrix):
    certain = read(matrix.log(0, share=0.0))
    found = evaluated(certain, Utility(), SCORE, wishes=Wishes(cost_weight=ASKED_WEIGHT))
    assert found.unsupported > 0.1
    assert found.values == ()
    assert "never taken" in found.refused
    same = evaluated(certain, Utility(), SCORE)
    assert same.unsupported == 0
    assert same.values[0].value == pytest.approx(same.logged_mean)


def written(path: Path, lines: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_lines_and_fields_come_in_any_order_and_scores_in_a_file_of_their_own(
    matrix: Matrix, tmp_path: Path
):
    lines = matrix.log(1, 20)
    bare = [{k: v for k, v in reversed(line.items()) if k != "score"} for line in reversed(lines)]
    scores = [{"score": line["score"], "decision_id": line["decision_id"]} for line in lines]
    asked = {"policy": "requested", "chosen": "", "propensity": 1.0}
    log = written(tmp_path / "log.jsonl", [*bare, asked, bare[0]])
    found = read_log([log], [written(tmp_path / "scores.jsonl", scores)])
    assert found.num_requested == 1
    assert {one.decision_id: one for one in found.decisions} == {
        one.decision_id: one for one in read(lines)
    }


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"propensity": "0.5"}, "propensity"),
        ({"propensity": 0.123}, "not the probability"),
        ({"score": 1.5}, "score"),
        ({"score": "1"}, "score"),
        ({"chosen": "another"}, "not the probability"),
        ({"candidates": []}, "candidates"),
        ({"decision_id": None}, "decision_id"),
    ],
)
def test_what_is_of_another_type_is_refused_by_its_line(
    matrix: Matrix, tmp_path: Path, changes: dict[str, object], why: str
):
    first, second = matrix.log(1, 2)
    log = written(tmp_path / "log.jsonl", [first, second | changes])
    with pytest.raises(InvalidRequest, match=r"log\.jsonl:2") as raised:
        read_log([log])
    assert why in str(raised.value)


def test_a_decision_told_twice_in_two_ways_is_refused(matrix: Matrix, tmp_path: Path):
    first, second = matrix.log(1, 2)
    log = written(tmp_path / "log.jsonl", [first, second | {"decision_id": "d0"}])
    with pytest.raises(InvalidRequest, match="told twice"):
        read_log([log])


def test_the_command_prints_estimates_and_what_they_stand_on(matrix: Matrix, tmp_path: Path):
    log = written(tmp_path / "log.jsonl", matrix.log(3))
    told = CliRunner().invoke(app, ["ope", str(log), "--cost-weight", str(ASKED_WEIGHT)])
    assert told.exit_code == 0, told.output
    assert "doubly robust" in told.output
    assert "effective" in told.output
    plain = CliRunner().invoke(app, ["ope", str(log), "--policy", "nosuch"])
    assert plain.exit_code != 0
