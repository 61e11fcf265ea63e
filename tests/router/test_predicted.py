"""The predicted policy: the soonest of the plans that give the same answer; what it refuses."""

import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.router.policy import Situation
from services.router.predicted import PredictedPolicy
from tests.prediction import outcomes
from tests.router.routers import configuration_file, reply, request, routing
from tests.router.scripted_tier import Script, serving
from tiercel.errors import ModelUnavailable
from tiercel.plan_text import parse_plan
from tiercel.prediction.predictor import Prediction, Predictor
from tiercel.prediction.recording import Manner, record
from tiercel.prediction.records import PromptLine, read_outcomes
from tiercel.prediction.training import train
from tiercel.types import Message

PLANS = {name: parse_plan(text) for name, text in outcomes.PLANS.items()}
CODE, STORY = "A big code about calm red warm odd", "A big story about calm red warm odd"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train(outcomes.write(folder / "outcomes.jsonl"), folder / "predictor")
    return folder / "predictor"


def policy(trained: Path, **settings) -> PredictedPolicy:
    plans = settings.pop("plans", PLANS)
    return PredictedPolicy(Predictor.load(trained), plans, default_plan="alone", **settings)


def situation(prompt: str) -> Situation:
    return Situation((Message("user", prompt),), "", 64, 0.0)


def test_the_soonest_plan_of_the_default_root_is_chosen(trained):
    code = policy(trained).choose(list(PLANS), situation(CODE))
    story = policy(trained).choose(list(PLANS), situation(STORY))
    assert (code.plan_name, story.plan_name) == ("pair", "alone")
    assert code.propensity == story.propensity == 1.0
    assert {one.plan_name for one in code.candidates} == {"alone", "pair"}
    assert all(one.predicted_s and one.predicted_quality is None for one in code.candidates)


def test_a_plan_whose_root_is_away_is_not_chosen(trained):
    assert policy(trained).choose(["alone"], situation(CODE)).plan_name == "alone"
    assert policy(trained).choose(["unknown"], situation(CODE)).plan_name == "alone"


def test_exploration_happens_as_often_as_its_propensity_says(trained):
    exploring = policy(trained, exploration=0.5)
    choices = [exploring.choose(list(PLANS), situation(CODE)) for _ in range(400)]
    count = Counter((choice.plan_name, choice.propensity) for choice in choices)
    assert set(count) == {("pair", 0.75), ("alone", 0.25)}
    assert 60 < count["alone", 0.25] < 140


def test_a_cost_weight_without_a_quality_head_is_refused(trained):
    with pytest.raises(ModelUnavailable, match="quality head, which needs graded outcomes"):
        policy(trained, cost_weight=0.1)


def test_with_a_quality_head_quality_is_weighed_against_seconds(trained, monkeypatch):
    predictor = Predictor.load(trained)
    head = predictor.manifest.heads[0].model_copy(update={"kind": "quality", "of": "alone"})
    graded = predictor.manifest.model_copy(update={"heads": (*predictor.manifest.heads, head)})
    predictor.manifest = graded
    seconds, quality = {"alone": 2.0, "small": 0.5}, {"alone": 0.9, "small": 0.6}
    monkeypatch.setattr(predictor, "predict", lambda *_, **__: Prediction(seconds, {}, {}, quality))
    for weight, best in ((0.1, "alone"), (0.5, "small")):
        weighing = PredictedPolicy(predictor, PLANS, default_plan="alone", cost_weight=weight)
        choice = weighing.choose(list(PLANS), situation(CODE))
        assert choice.plan_name == best
        assert {one.predicted_quality for one in choice.candidates} == {0.9, 0.6}


def test_a_default_plan_that_was_not_recorded_or_was_changed_since_is_refused(trained):
    with pytest.raises(ModelUnavailable, match="not trained on plan 'alone'"):
        policy(trained, plans={"alone": parse_plan("other")})


def test_a_changed_plan_is_left_out(trained):
    changed = PLANS | {"pair": parse_plan("target <- draft:6")}
    choice = policy(trained, plans=changed).choose(list(changed), situation(CODE))
    assert choice.plan_name == "alone"
    unwritten = PLANS | {"pair": parse_plan("target <- draft")}
    choice = policy(trained, plans=unwritten).choose(list(unwritten), situation(CODE))
    assert choice.plan_name == "pair"


async def test_the_router_decides_by_it_and_says_so(trained, tmp_path):
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(serving(Script()))
        draft = await stack.enter_async_context(serving(Script(tier="draft")))
        places = {"target": [target], "draft": [draft]}
        config = configuration_file(tmp_path, places, outcomes.PLANS)
        settings = {"policy": "predicted", "predictor": str(trained)}
        client = await stack.enter_async_context(routing(config, **settings))
        for prompt, plan in ((CODE, "pair"), (STORY, "alone")):
            turns = (Message("user", prompt),)
            decision = await client.route(request(prompt=turns, max_new_tokens=64))
            assert (decision.plan_name, decision.policy) == (plan, "predicted")
            assert "soonest" in decision.reason
            assert decision.compute_s > 0
        static = await reply(client, request(prompt=turns, policy="static"))
        assert static.decision.policy == "static"


def test_the_policy_without_a_predictor_ends_the_start_with_one_line():
    command = [sys.executable, "-m", "services.router", "--policy", "predicted"]
    command += ["--address", "localhost:0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "policy='predicted': needs a predictor" in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


async def test_outcomes_are_recorded_from_running_tiers(tmp_path):
    async with AsyncExitStack() as stack:
        script = Script()
        address = await stack.enter_async_context(serving(script))
        plans = {"alone": "target", "pair": "target <- draft:4"}
        places = {"target": [address], "draft": ["localhost:1"]}
        config = configuration_file(tmp_path, places, plans)
        client = await stack.enter_async_context(routing(config))
        prompts = [PromptLine(prompt=f"prompt {index}", kind="k") for index in range(3)]
        out = tmp_path / "outcomes.jsonl"
        seen = []
        number = await record(
            client._address, prompts, [], out, manner=Manner(max_new_tokens=8), progress=seen.append
        )
        recorded = read_outcomes(out)
        assert recorded == seen
        assert number == len(recorded) == 6
        assert len(script.opens) == 8, "a first answer of each plan is not recorded"
        assert {one.plan for one in recorded} == set(plans.values())
        assert all(one.total_s > one.first_token_s > 0 for one in recorded)
        assert all(one.num_completion_tokens == 8 for one in recorded)
