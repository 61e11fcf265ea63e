"""A strictness that was left open: what audits certified, EXACT without that, never a tier's."""

from dataclasses import replace

import pytest

from services.router.learning.kept_policy import write_policy
from services.router.learning.learned import Advice
from services.router.learning.strictness import bound, explained, left_open, settled, with_floor
from tests.router.graders import WrittenGrader
from tests.router.routers import configuration_file, reply, request, routing
from tests.router.scripted_tier import Script, serving
from tiercel.errors import InvalidRequest, PlanRefused
from tiercel.learning import LearnedPolicy, StrictnessPolicy
from tiercel.plan_rules import check_plan, check_shape
from tiercel.plan_text import parse_plan
from tiercel.sessions import Objective
from tiercel.types import Acceptance, Constraint, ConstraintForm, Rule
from tiercel.v1 import decoding_pb2 as pb
from tiercel.wire.plans import acceptance_from_pb, acceptance_to_pb

LEARNED = Acceptance(Rule.LENIENT, 0.0, learned=True)
DIGITS = Constraint(ConstraintForm.REGEX, "[0-9]+")
ROOT = parse_plan("target{lenient=learned} <- draft").plan()


def told(kind: str = "", strictness: float = 0.8, *, certified: bool = True) -> StrictnessPolicy:
    return StrictnessPolicy(Rule.LENIENT, kind, strictness, certified=certified)


def advice(*strictness: StrictnessPolicy) -> Advice:
    known = Advice()
    known.take(LearnedPolicy("e", 1, strictness=strictness))
    return known


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ((), Acceptance()),
        ((told(certified=False),), Acceptance()),
        ((replace(told(), rule=Rule.TYPICAL),), Acceptance()),
        ((told("stories"),), Acceptance()),
        ((told(),), Acceptance(Rule.LENIENT, 0.8)),
        ((told(), told("maths", 0.6)), Acceptance(Rule.LENIENT, 0.6)),
        ((told(), told("stories", 0.6)), Acceptance(Rule.LENIENT, 0.8)),
        # What audits say of a kind itself is not overruled by what they say of others.
        ((told(), told("maths", 0.9, certified=False)), Acceptance()),
    ],
)
def test_what_is_in_force_for_a_request_of_maths(known, expected):
    assert settled(ROOT, None, advice(*known), "maths").acceptance == expected


def test_without_any_policy_the_rule_is_exact():
    assert settled(ROOT, None, Advice(), "").acceptance == Acceptance()


@pytest.mark.parametrize(("least", "expected"), [(0.7, 0.8), (0.85, 0.85), (1.0, 1.0)])
def test_it_never_falls_below_what_is_allowed(least, expected):
    asked = replace(LEARNED, strictness=least)
    assert settled(ROOT, asked, advice(told()), "").acceptance.strictness == expected


def test_the_number_of_agreeing_drafters_stays():
    asked = Acceptance(Rule.AGREEMENT, 0.0, 3, learned=True)
    known = advice(StrictnessPolicy(Rule.AGREEMENT, "", 0.912345, certified=True))
    assert settled(ROOT, asked, known, "").acceptance == Acceptance(Rule.AGREEMENT, 0.9123, 3)


def test_a_rule_with_a_number_stands():
    plan = parse_plan("target{lenient=0.3} <- draft").plan()
    assert settled(plan, None, advice(told()), "") == plan


def test_the_callers_rule_comes_before_the_plans():
    plans = {"open": parse_plan("target{lenient=learned}"), "plain": parse_plan("target")}
    assert left_open(Objective(), plans, "open") == LEARNED
    assert left_open(Objective(acceptance=Acceptance()), plans, "open") is None
    assert left_open(Objective(acceptance=LEARNED), plans, "plain") == LEARNED
    assert left_open(Objective(outline=plans["open"]), {}, "") == LEARNED
    assert left_open(Objective(), plans, "plain") is None


def test_the_operators_floor_is_under_what_callers_leave_open_and_under_nothing_else():
    raised = with_floor(
        Objective(acceptance=LEARNED, outline=parse_plan("a{lenient=learned}")), 0.7
    )
    assert raised.acceptance == replace(LEARNED, strictness=0.7)
    assert str(raised.outline) == "a{lenient=learned>=0.7}"
    for asked in (replace(LEARNED, strictness=0.8), Acceptance(Rule.LENIENT, 0.9), None):
        assert with_floor(Objective(acceptance=asked), 0.7) == Objective(acceptance=asked)


def test_it_is_said_what_became_of_it():
    uncertified = explained(LEARNED, Acceptance(), None)
    assert uncertified == "exact, as no strictness of lenient is certified"
    found = Acceptance(Rule.LENIENT, 0.8)
    assert explained(LEARNED, found, DIGITS) == "lenient at strictness 0.8, as learned"
    least = explained(replace(LEARNED, strictness=0.8), found, None)
    assert least == "lenient at strictness 0.8, the least that is allowed"


def test_a_rule_that_bears_no_constraint_is_exact_under_one():
    fused = replace(LEARNED, rule=Rule.COSD_RULE)
    plan = replace(ROOT, acceptance=Acceptance(Rule.COSD_RULE, 0.8))
    assert bound(plan, fused, DIGITS).acceptance == Acceptance()
    why = explained(fused, Acceptance(), DIGITS)
    assert why == "exact, as cosd_rule holds no answer to a constraint"
    # Who named a strictness is refused by the tier, as ever.
    for asked, constraint in ((fused, None), (None, DIGITS), (LEARNED, DIGITS)):
        assert bound(plan, asked, constraint) == plan


def test_no_tier_takes_a_strictness_that_was_left_open():
    check_shape(ROOT)
    placed = replace(ROOT, address="a:1", drafters=(replace(ROOT.drafters[0], address="a:2"),))
    with pytest.raises(PlanRefused, match="'target': only a router knows the learned strictness"):
        check_plan(placed)
    check_plan(replace(placed, acceptance=Acceptance()))


def test_it_is_the_roots_alone():
    with pytest.raises(PlanRefused, match=r"'middle' drafts: .* only the root's rule"):
        check_shape(parse_plan("target <- middle{lenient=learned} <- draft").plan())


def test_on_the_wire_it_is_a_mark_and_the_least_strictness():
    lenient = pb.ACCEPTANCE_RULE_LENIENT
    assert acceptance_from_pb(pb.Acceptance(rule=lenient, learned=True)) == LEARNED
    least = acceptance_from_pb(pb.Acceptance(rule=lenient, learned=True, strictness=0.6))
    assert least == replace(LEARNED, strictness=0.6)
    for one in (LEARNED, least):
        assert acceptance_from_pb(acceptance_to_pb(one)) == one
    with pytest.raises(InvalidRequest, match="only a lossy rule"):
        acceptance_from_pb(pb.Acceptance(rule=pb.ACCEPTANCE_RULE_BLOCK, learned=True))


@pytest.fixture
async def tier(tmp_path):
    """A script, and a client of a router over it that once heard a policy and hears no more."""
    script = Script()
    async with serving(script) as address:
        places = {"target": [address], "draft": ["localhost:1"]}
        plans = {"open": "target{lenient=learned}", "held": "target{lenient=learned>=0.95}"}
        config = configuration_file(
            tmp_path, places, plans | {"typical": "target{typical=learned}"}
        )
        state = tmp_path / "state"
        write_policy(state / "policy.binpb", LearnedPolicy("e", 1, strictness=(told(),)))
        grader = WrittenGrader(quality={"target": 0.7})
        async with routing(config, grader, state_dir=state, min_strictness=0.85) as client:
            yield script, client


@pytest.mark.parametrize(
    ("asked", "expected", "why"),
    [
        (request(), Acceptance(Rule.LENIENT, 0.8), "lenient at strictness 0.8, as learned"),
        (request(plan="held"), Acceptance(Rule.LENIENT, 0.95), "the least that is allowed"),
        (request(plan="typical"), Acceptance(), "exact, as no strictness of typical is certified"),
        # What callers leave open is bounded by the operator; what the operator does is not.
        (request(acceptance=LEARNED), Acceptance(Rule.LENIENT, 0.85), "the least that is allowed"),
        (
            request(plan=parse_plan("target{lenient=learned>=0.9}")),
            Acceptance(Rule.LENIENT, 0.9),
            "the least that is allowed",
        ),
    ],
)
async def test_the_tier_is_told_a_number_and_the_caller_why(tier, asked, expected, why):
    script, client = tier
    whole = await reply(client, asked)
    assert acceptance_from_pb(script.opens[-1].plan.acceptance) == expected
    assert whole.decision.plan.acceptance == expected
    assert whole.decision.reason.endswith(why)
    assert whole.finished.lossy_rules == ((Rule.LENIENT,) if expected.rule is Rule.LENIENT else ())
    assert (await client.route(asked)).plan.acceptance == expected
    assert all(not one.plan.acceptance.learned for one in (await client.tiers()).plans)


async def test_what_is_certified_is_as_good_as_its_root_to_who_weighs_qualities(tier):
    _, client = tier
    learned = (await client.route(request())).candidates
    assert {one.plan_name: one.predicted_quality for one in learned} == dict.fromkeys(
        ("open", "held", "typical"), 0.7
    )
    named = await client.route(request(acceptance=Acceptance(Rule.LENIENT, 0.9)))
    assert {one.predicted_quality for one in named.candidates} == {None}
