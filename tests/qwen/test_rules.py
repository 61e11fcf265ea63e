"""Rules in chains of three real models: what each level may judge by, and what must come of it."""

import pytest

from tests.qwen.test_chains import both, samplings
from tests.qwen.tiers import Qwen
from tests.speculation.answers import answer, ask, plain
from tests.speculation.test_smollm2 import PROMPTS
from tiercel.errors import PlanRefused
from tiercel.types import Acceptance, Plan, Rule

pytestmark = pytest.mark.asyncio(loop_scope="module")

WITHIN_EXACT = [
    Acceptance(Rule.LENIENT, 0.3),
    Acceptance(Rule.TYPICAL, 0.3),
    Acceptance(Rule.REJECTION),
    Acceptance(Rule.BLOCK),
]
DIVIDING = [Rule.REJECTION, Rule.BLOCK]
# Of fewer tokens than a drafter sends, so that what it sends is all of what it draws from.
CUT = {"temperature": 0.8, "top_k": 40, "seed": 5}


def chain(qwen: Qwen, root: Acceptance, middle: Acceptance) -> Plan:
    below = qwen.small.plan(qwen.foreign.plan(), acceptance=middle)
    return qwen.large.plan(below, acceptance=root)


@samplings
@pytest.mark.parametrize("middle", WITHIN_EXACT, ids=lambda one: one.rule.value)
async def test_any_rule_may_stand_below_exact(qwen: Qwen, middle: Acceptance, sampling: dict):
    got = await both(qwen, qwen.large, chain(qwen, Acceptance(), middle), "code", sampling)
    assert got.pair("small").num_accepted_tokens > 0
    assert got.pair("foreign").num_draft_tokens > 0


@pytest.mark.parametrize("middle", DIVIDING)
@pytest.mark.parametrize("root", DIVIDING)
async def test_greedy_answers_are_the_roots_own_by_rules_that_divide(
    qwen: Qwen, root: Rule, middle: Rule
):
    asked = ask(PROMPTS["code"], max_new_tokens=48)
    got = await answer(
        qwen.fleet, qwen.large, chain(qwen, Acceptance(root), Acceptance(middle)), asked
    )
    assert got.token_ids == (await plain(qwen.fleet, qwen.large, asked)).token_ids
    assert got.pair("small").num_accepted_tokens > 0


@pytest.mark.parametrize("rule", DIVIDING)
async def test_a_twin_that_judges_a_foreign_drafter_sends_its_own_distribution(
    qwen: Qwen, rule: Rule
):
    """Whatever it did with the drafts, its tokens are draws from what its parent draws from."""
    middle = qwen.twin.plan(qwen.foreign.plan(), acceptance=Acceptance(rule))
    plan = qwen.small.plan(middle, acceptance=Acceptance(rule))
    got = await answer(qwen.fleet, qwen.small, plan, ask(PROMPTS["code"], **CUT))
    twin, foreign = got.pair("twin"), got.pair("foreign")
    assert twin.num_accepted_tokens > 0
    assert twin.num_compared > 0
    assert twin.total_variation < 1e-6 * twin.num_compared
    assert foreign.num_rejected_tokens > 0


@pytest.mark.parametrize("root", DIVIDING)
async def test_a_lossy_middle_is_refused_below_a_rule_that_divides(qwen: Qwen, root: Rule):
    plan = chain(qwen, Acceptance(root), Acceptance(Rule.LENIENT, 0.5))
    with pytest.raises(PlanRefused, match="small"):
        await answer(qwen.fleet, qwen.large, plan, ask(PROMPTS["code"]))
