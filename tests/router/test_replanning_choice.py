"""When an answer is planned anew, and when it is left alone."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from services.router.call import Call
from services.router.deciding import REQUESTED, Decided
from services.router.drafting import Progress
from services.router.forecasts.chain_times import ChainTimes
from services.router.forecasts.forecasting import Planned
from services.router.learning.learned import Advice
from services.router.replanning import Replanner
from tests.router.fleets import description, fleet_of, record
from tiercel.descriptions import Speed
from tiercel.plan_text import parse_plan
from tiercel.replies import Candidate
from tiercel.sessions import Ask, Objective
from tiercel.types import SamplingParams, StopConditions

QUICK, SLOW = 0.001, 1.0


class OpenAnswer:
    """An answer of which half is told, as the replanner sees it."""

    plan_name = "pair"

    def __init__(self, plan) -> None:
        self.plan, self.replans = plan, []
        self.current = self
        self.progress = Progress(num_left=50, num_read=100)

    def reaches(self, plan):
        return plan

    def replan(self, plan) -> None:
        self.plan = replace(plan, version=self.plan.version + 1)
        self.replans.append(plan)


NAMED = {
    "pair": parse_plan("target <- draft"),
    "alone": parse_plan("target"),
    "fixed": parse_plan("target <- draft:4"),
    "spare": parse_plan("target <- other:4"),
}
PAIR = NAMED["pair"].plan()
ASK = Ask("id", "Say something.", SamplingParams(), stop=StopConditions(max_new_tokens=100))
FREE = Decided("pair", PAIR, "static", "")


class Scene:
    """A replanner over described tiers, whose clock stands still unless it is moved."""

    def __init__(self, fleet) -> None:
        self.fleet, self.now = fleet, 100.0
        self.plans = {name: Planned.of(outline.plan()) for name, outline in NAMED.items()}
        decider = SimpleNamespace(plans=lambda kind, acceptance: self.plans)
        times = ChainTimes(fleet, Advice(), {})
        self.replanner = Replanner(NAMED, decider, times, clock=lambda: self.now)

    def say(self, **draft_s: float) -> None:
        records = tuple(record(tier, draft_s_per_token=one) for tier, one in draft_s.items())
        about = description("target", speed=Speed(0.1), drafters=records)
        self.fleet.of("target")[0].is_ready(about)

    async def look(self, decided=FREE, objective=None, answer=None) -> OpenAnswer:
        answer = answer or OpenAnswer(decided.plan)
        call = Call(ASK, objective or Objective(), "", "", 0.0, 0.0)
        # What is worked out stays fresh for a while; here every look is a new one.
        self.replanner._known._known.clear()
        with self.replanner.following(call, decided, answer):
            await self.replanner.look()
        return answer


@pytest.fixture
async def scene():
    about = {tier: description(tier, speed=Speed(QUICK)) for tier in ("target", "draft", "other")}
    async with fleet_of(about) as fleet:
        yield Scene(fleet)


async def test_a_change_has_to_save_a_tenth_of_what_is_left(scene):
    rates = 1 + 0.8 + 0.64 + 0.512 + 0.4096  # tokens of a block of four
    even_s = (rates * 0.1 - 0.1) / 4  # with which the drafter is worth nothing
    scene.say(draft=even_s * 1.1)
    assert (await scene.look()).replans == []
    scene.say(draft=even_s * 1.5)
    assert (await scene.look()).replans == [NAMED["alone"].plan()]


async def test_an_answer_is_left_alone_for_a_while_after_a_change(scene):
    call, answer = Call(ASK, Objective(), "", "", 0.0, 0.0), OpenAnswer(PAIR)
    moments = [(0.0, SLOW, QUICK, 1), (1.9, QUICK, SLOW, 1), (0.2, QUICK, SLOW, 2)]
    with scene.replanner.following(call, FREE, answer):
        for passed_s, draft_s, other_s, number in moments:
            scene.now += passed_s
            scene.say(draft=draft_s, other=other_s)
            scene.replanner._known._known.clear()
            await scene.replanner.look()
            assert len(answer.replans) == number
    assert [one.drafters[0].tier for one in answer.replans] == ["other", "draft"]
    scene.now += 10.0
    scene.say(draft=SLOW, other=QUICK)
    await scene.replanner.look()
    assert len(answer.replans) == 2, "it is over"


async def test_draws_to_learn_from_are_left_alone(scene):
    scene.say(draft=SLOW)
    candidates = (Candidate("pair", probability=0.1), Candidate("alone", probability=0.9))
    explored = replace(FREE, propensity=0.1, candidates=candidates)
    assert (await scene.look(explored)).replans == []
    assert (await scene.look(replace(FREE, policy="random"))).replans == []
    assert (await scene.look(replace(explored, propensity=0.9))).replans


async def test_a_plan_named_with_open_numbers_follows_its_numbers_alone(scene):
    scene.say(draft=0.09)
    named = replace(FREE, policy=REQUESTED)
    assert (await scene.look(named, Objective(plan_name="pair"))).replans == []
    shorter = parse_plan("target <- draft:1").plan()
    scene.plans["pair"] = Planned.of(shorter)
    assert (await scene.look(named, Objective(plan_name="pair"))).replans == [shorter]
    fixed = replace(named, plan_name="fixed")
    scene.plans["fixed"] = Planned.of(shorter)
    assert (await scene.look(fixed, Objective(plan_name="fixed"))).replans == []


async def test_new_drafters_have_to_read_what_was_said(scene):
    def reads(seconds: float) -> None:
        speed = Speed(QUICK, prefill_s_per_token=seconds)
        scene.fleet.of("other")[0].is_ready(description("other", speed=speed))

    scene.say(draft=0.05, other=QUICK)
    reads(0.001)
    assert (await scene.look()).replans == [NAMED["spare"].plan()]
    reads(1.0)
    assert (await scene.look()).replans == [], "the answer ends before they have"


async def test_plans_that_answer_otherwise_are_no_choice(scene):
    scene.say(draft=SLOW, other=QUICK)
    for name in ("alone", "spare"):
        outline = parse_plan("target{lenient=0.5} <- other:4" if name == "spare" else "draft")
        scene.plans[name] = Planned.of(outline.plan())
    assert (await scene.look()).replans == []


async def test_without_figures_nothing_is_changed(scene):
    assert (await scene.look()).replans == []
    scene.say(draft=SLOW)
    answer = OpenAnswer(PAIR)
    answer.progress = None  # no root works on it
    assert (await scene.look(answer=answer)).replans == []
