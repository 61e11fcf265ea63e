"""Seconds that were learned from recorded outcomes: which plans they are of, and what follows."""

import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.router.forecasts.trained_seconds import TrainedSeconds
from tests.prediction import outcomes
from tests.router.routers import configuration_file, reply, request, routing, settled
from tests.router.scripted_tier import Script, serving
from tiercel.plan_text import parse_plan
from tiercel.prediction.predictor import Predictor
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


def seconds(trained: Path, prompt: str, plans=PLANS) -> dict[str, float]:
    known = TrainedSeconds(Predictor.load(trained), plans)
    said = known.predict((Message("user", prompt),), temperature=0.0, max_new_tokens=64)
    return dict(said.seconds)


def test_drafting_pays_where_it_paid_when_outcomes_were_recorded(trained):
    code, story = seconds(trained, CODE), seconds(trained, STORY)
    assert code.keys() == story.keys() == PLANS.keys()
    assert code["pair"] < code["alone"]
    assert story["pair"] > story["alone"]


def test_a_plan_that_was_changed_since_or_never_recorded_has_none(trained):
    changed = PLANS | {"pair": parse_plan("target <- draft:6"), "new": parse_plan("target")}
    assert seconds(trained, CODE, changed).keys() == {"alone", "small"}
    unwritten = PLANS | {"pair": parse_plan("target <- draft")}
    assert "pair" in seconds(trained, CODE, unwritten)


async def test_the_router_decides_by_it_and_says_so(trained, tmp_path):
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(serving(Script()))
        draft = await stack.enter_async_context(serving(Script(tier="draft")))
        places = {"target": [target], "draft": [draft]}
        config = configuration_file(tmp_path, places, outcomes.PLANS)
        settings = {"policy": "fastest", "predictor": str(trained)}
        client = await settled(stack, config, **settings)
        for prompt, plan in ((CODE, "pair"), (STORY, "alone")):
            turns = (Message("user", prompt),)
            decision = await client.route(request(prompt=turns, max_new_tokens=64))
            assert (decision.plan_name, decision.policy) == (plan, "fastest")
            assert "the soonest of 2 plans with the answer of alone" in decision.reason
            assert decision.compute_s > 0
            assert {one.plan_name for one in decision.candidates} == PLANS.keys()
            assert all(one.predicted_s and one.predicted_cost for one in decision.candidates)
        small = await client.route(request(prompt=turns, policy="cost_only"))
        assert small.plan_name == "small"
        static = await reply(client, request(prompt=turns, policy="static"))
        assert static.decision.policy == "static"


@pytest.mark.parametrize(
    ("policy", "why"),
    [("best", "no policy 'best' here; there is static"), ("knn", "policy='knn': has to be fitted")],
)
def test_a_policy_that_cannot_be_had_ends_the_start_with_one_line(policy, why):
    command = [sys.executable, "-m", "services.router", "--policy", policy]
    command += ["--address", "localhost:0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert why in result.stderr
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
