"""Fitted stopping policies as the router asks them: at check points, at ends, with recall."""

from contextlib import AsyncExitStack
from dataclasses import replace

import numpy as np
import pytest

from services.router.cascade.stopper import MeanLogprobStopper, StageState
from services.router.cascade.trained_stopper import trained_cascade
from tests.router.escalations import answered, asked_of, evidence
from tests.router.routers import configuration_file, routing
from tests.router.scripted_tier import Script, answer, serving
from tiercel.errors import ModelUnavailable
from tiercel.plan_text import parse_plan
from tiercel.sessions import Delivery
from tiercel.stopping import policy_file
from tiercel.stopping.evidence import EVIDENCE_NAMES, evidence_vector
from tiercel.stopping.fitting import fit
from tiercel.stopping.policy import StoppingPolicy
from tiercel.stopping.programme import in_order
from tiercel.stopping.stages import StageData

PLANS = {"cheap": parse_plan("small"), "dear": parse_plan("large <- small:4")}
"""Named otherwise than the tiers that the stages are."""
SURE, UNSURE = evidence(*[-0.1] * 8), evidence(*[-3.0] * 8)


def fitted(
    prefix_tokens: int | None, *, recall: bool = False, is_right: bool = True
) -> StoppingPolicy:
    """A policy learned where the small model is right, if it ever `is_right`, when it is sure."""
    draw = np.random.default_rng(3)
    sure = draw.random((300, 2)) < 0.5
    rows = [
        [vector(*(-0.1 if one else -3.0,) * 8, prefix_tokens=prefix_tokens) for one in row]
        for row in sure
    ]
    quality = np.stack((sure[:, 0] & is_right, np.where(sure[:, 1], 1.0, 0.5)), axis=1).astype(
        np.float64
    )
    data = StageData(
        stages=("small", "large"),
        evidence_names=EVIDENCE_NAMES,
        evidence=np.array(rows) + draw.normal(0, 0.01, (300, 2, len(EVIDENCE_NAMES))),
        kinds=("one",) * 300,
        quality=quality,
        seconds=np.tile(in_order((1.0, 2.0)), (300, 1, 1)),
        groups=tuple(map(str, range(300))),
        prefix_tokens=prefix_tokens,
    )
    return fit(data, 0.05, recall=recall)


def vector(*logprobs: float, prefix_tokens: int | None = None) -> np.ndarray:
    rows = evidence(*logprobs)
    lists = zip(*((one.logprob, one.entropy, one.margin) for one in rows), strict=True)
    return evidence_vector(*lists, finished=False, prefix_tokens=prefix_tokens)


def state(plan: str, told, *, point: int = 8, is_over: bool = False, available=("dear",)):
    return StageState(0, plan, point, told, is_over, False, tuple(available))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("policies")
    policy_file.save(fitted(8), folder / "8.json")
    policy_file.save(fitted(None, recall=True), folder / "whole.json")
    return folder


def test_it_goes_over_where_the_small_model_is_unsure(folder) -> None:
    stopper = trained_cascade(folder, PLANS).stoppers()("one")
    assert (stopper.plan_names, stopper.check_points) == (("cheap", "dear"), (8,))
    over = stopper.consider(state("cheap", UNSURE))
    assert (over.next_plan_name, over.num_tokens, over.propensity) == ("dear", 8, 1.0)
    assert over.expected_gain > 0.3 and over.expected_s == pytest.approx(2.0)
    assert "exceeds the price" in over.reason
    assert stopper.consider(state("cheap", SURE)).next_plan_name == ""


def test_a_plan_that_takes_no_work_is_never_asked(folder) -> None:
    stopper = trained_cascade(folder, PLANS).stoppers()("one")
    assert stopper.consider(state("cheap", UNSURE, available=())).next_plan_name == ""


def test_a_plan_that_would_keep_it_waiting_is_dearer(folder) -> None:
    for wait_s, following in ((0.5, "dear"), (60.0, "")):  # at 0.05 a second
        stopper = trained_cascade(folder, PLANS).stoppers({"dear": wait_s}.__getitem__)("one")
        decision = stopper.consider(state("cheap", UNSURE))
        assert decision.next_plan_name == following
        assert decision.expected_s == pytest.approx(2.0 + wait_s)


def test_at_the_end_the_better_answer_is_kept(folder) -> None:
    stopper = trained_cascade(folder, PLANS).stoppers()("one")
    assert stopper.recalls
    assert stopper.consider(state("cheap", SURE, is_over=True)).next_plan_name == ""
    kept = stopper.consider(state("dear", UNSURE, is_over=True, available=()))
    assert kept.next_plan_name == "cheap"
    again = trained_cascade(folder, PLANS).stoppers()("one")  # of another answer
    assert again.consider(state("dear", UNSURE, is_over=True, available=())).next_plan_name == ""


def test_without_a_policy_for_ends_the_next_check_point_s_decides(folder, tmp_path) -> None:
    policy_file.save(fitted(8), tmp_path / "8.json")
    stopper = trained_cascade(tmp_path / "8.json", PLANS).stoppers()("one")
    assert not stopper.recalls
    short = state("cheap", UNSURE[:5], point=5, is_over=True)
    assert stopper.consider(short).next_plan_name == "dear"
    assert stopper.consider(state("cheap", UNSURE * 2, point=16, is_over=True)) is None


def test_what_does_not_fit_is_refused(folder, tmp_path) -> None:
    with pytest.raises(ModelUnavailable, match="no stopping policy"):
        trained_cascade(tmp_path, PLANS)
    with pytest.raises(ModelUnavailable, match="no plan is or answers by 'small'"):
        trained_cascade(folder, {"dear": PLANS["dear"]})
    for name in ("a", "b"):
        policy_file.save(fitted(8), tmp_path / f"{name}.json")
    with pytest.raises(ModelUnavailable, match="one check point"):
        trained_cascade(tmp_path, PLANS)


async def test_a_router_is_given_a_policy_by_its_file(folder, tmp_path) -> None:
    always = fitted(8, is_right=False)
    policy_file.save(replace(always, starts=()), tmp_path / "policy.json")
    policy_file.save(always, tmp_path / "with_starts.json")
    async with AsyncExitStack() as stack:
        scripts = [Script("small"), Script("large", shift=1)]
        places = [[await stack.enter_async_context(serving(script))] for script in scripts]
        tiers = dict(zip(("small", "large"), places, strict=True))
        config = configuration_file(tmp_path, tiers, {"cheap": "small", "dear": "large"})
        settings = {"policy": "cascade", "stopping": str(tmp_path / "policy.json")}
        client = await stack.enter_async_context(routing(config, heartbeat_s=30.0, **settings))
        got = await answered(client, asked_of(delivery=Delivery.HOLD))
        assert got.token_ids == answer(6, 12)
        [stage] = got.finished.stages
        assert (stage.num_tokens, stage.plan_name, stage.next_plan_name) == (8, "cheap", "dear")
        assert "go on to large" in stage.reason
        assert "no quality is predicted" in got.decision.reason
        settings |= {"stopping": str(tmp_path / "with_starts.json"), "cost_weight": 0.05}
        begun = await stack.enter_async_context(routing(config, heartbeat_s=30.0, **settings))
        got = await answered(begun, asked_of(delivery=Delivery.HOLD, kind="one"))
        assert got.decision.plan_name == "dear", "the small tier is never right"
        assert "by fitted stopping policies" in got.decision.reason
        assert got.token_ids == answer(6, 12) and not got.finished.stages


def test_a_threshold_on_the_mean() -> None:
    stopper = MeanLogprobStopper(("cheap", "dear"), -1.0)
    over = stopper.consider(state("cheap", UNSURE))
    assert (over.next_plan_name, over.reason) == ("dear", "mean log-probability -3.000 < -1")
    assert stopper.consider(state("cheap", SURE)).next_plan_name == ""
    assert stopper.consider(state("cheap", ())).next_plan_name == ""
