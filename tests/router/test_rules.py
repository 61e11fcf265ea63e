"""Which acceptance rule a request gets: the caller's, else its plan's, else EXACT."""

from contextlib import nullcontext

import pytest

from tests.router.routers import configuration_file, reply, request, routing
from tests.router.scripted_tier import Script, serving
from tiercel.clients.router import RouterClient
from tiercel.errors import InvalidRequest, PlanRefused
from tiercel.plan_text import parse_plan
from tiercel.types import Acceptance, Rule
from tiercel.wire.plans import acceptance_from_pb

LENIENT = Acceptance(Rule.LENIENT, 0.7)
PLANS = {"plain": "target", "allowed": "target{lenient=0.7}", "cascade": "target <- draft"}


@pytest.fixture
async def tier(tmp_path):
    """A script, and a client of a router over it."""
    script = Script()
    async with serving(script) as address:
        places = {"target": [address], "draft": ["localhost:1"], "leaf": ["localhost:2"]}
        config = configuration_file(tmp_path, places, PLANS, drafters=[])
        async with routing(config) as client:
            yield script, client


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request(), Acceptance()),
        (request(plan="allowed"), LENIENT),
        (request(plan="allowed", acceptance=Acceptance()), Acceptance()),
        (request(plan="plain", acceptance=Acceptance(Rule.BLOCK)), Acceptance(Rule.BLOCK)),
        (request(plan=parse_plan("target{typical=0.5}")), Acceptance(Rule.TYPICAL, 0.5)),
        (request(acceptance=LENIENT), LENIENT),
        (
            request(acceptance=Acceptance(Rule.AGREEMENT, 0.9, 3)),
            Acceptance(Rule.AGREEMENT, 0.9, 3),
        ),
    ],
)
async def test_the_rule_at_the_root(tier, asked, expected):
    script, client = tier
    whole = await reply(client, asked)
    assert whole.decision.plan.acceptance == expected
    assert acceptance_from_pb(script.opens[-1].plan.acceptance) == expected
    lossy = expected.rule not in (Rule.EXACT, Rule.BLOCK)
    assert whole.finished.lossy_rules == ((expected.rule,) if lossy else ())


async def test_a_lossy_rule_at_strictness_1_is_not_named_as_lossy(tier):
    _, client = tier
    whole = await reply(client, request(acceptance=Acceptance(Rule.LENIENT)))
    assert whole.finished.lossy_rules == ()


async def test_a_rule_that_the_plan_below_does_not_bear_is_refused(tier):
    _, client = tier
    plan = parse_plan("target <- draft{lenient=0.5} <- leaf")
    asked = request(plan=plan, acceptance=Acceptance(Rule.REJECTION))
    with pytest.raises(PlanRefused, match="'draft' judges by lenient"):
        await reply(client, asked)


@pytest.mark.parametrize(
    ("asked", "is_allowed"),
    [
        (request(acceptance=Acceptance(Rule.LENIENT, 0.79)), False),
        (request(acceptance=Acceptance(Rule.LENIENT, 0.8)), True),
        (request(acceptance=Acceptance(Rule.BLOCK)), True),
        (request(plan=parse_plan("target{typical=0.5}")), False),
        (request(plan=parse_plan("target{typical=0.5}"), acceptance=Acceptance()), True),
        (request(plan="allowed", acceptance=Acceptance(Rule.LENIENT, 0.75)), False),
        (request(plan="allowed"), True),  # laxer, but the operator's own word
    ],
)
async def test_callers_may_not_ask_for_less_than_the_operator_lets_them(
    strict: RouterClient, asked, is_allowed
):
    allowed = (
        nullcontext() if is_allowed else pytest.raises(InvalidRequest, match=r"less than 0\.8")
    )
    with allowed:
        await strict.route(asked)
    with allowed:
        await reply(strict, asked)


@pytest.fixture
async def strict(tmp_path):
    """A client of a router whose callers may ask for a strictness of 0.8 and more."""
    async with serving(Script()) as address:
        config = configuration_file(
            tmp_path, {"target": [address], "draft": ["localhost:1"]}, PLANS
        )
        async with routing(config, min_strictness=0.8) as client:
            yield client
