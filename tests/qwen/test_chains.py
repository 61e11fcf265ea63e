"""Chains of real models with two tokenizers say what their root alone says."""

import pytest

from tests.qwen.tiers import Qwen
from tests.speculation.answers import Answer, answer, ask, plain
from tests.speculation.fleet import Replica
from tests.speculation.test_smollm2 import PROMPTS, SAMPLED
from tiercel.types import Plan

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHOSEN = ["arithmetic", "code", "code to go on", "list", "other scripts", "several turns", "json"]
prompts = pytest.mark.parametrize("prompt", CHOSEN)
samplings = pytest.mark.parametrize("sampling", [{}, SAMPLED[0]], ids=["greedy", "sampled"])


async def both(qwen: Qwen, root: Replica, plan: Plan, prompt: str, sampling: dict) -> Answer:
    """Return the answer under a plan; it has to be the root's own."""
    asked = ask(PROMPTS[prompt], max_new_tokens=48, **sampling)
    got = await answer(qwen.fleet, root, plan, asked)
    assert not got.lost
    assert got.same == (await plain(qwen.fleet, root, asked)).same
    return got


@samplings
@prompts
async def test_a_drafter_of_another_family_changes_nothing(qwen: Qwen, prompt: str, sampling: dict):
    got = await both(qwen, qwen.small, qwen.small.plan(qwen.foreign.plan()), prompt, sampling)
    assert got.pair("foreign").num_draft_tokens > 0


@samplings
@prompts
async def test_a_twin_is_never_wrong(qwen: Qwen, prompt: str, sampling: dict):
    got = await both(qwen, qwen.small, qwen.small.plan(qwen.twin.plan()), prompt, sampling)
    assert got.pair("twin").num_rejected_tokens == 0


@samplings
async def test_three_levels_and_two_tokenizers(qwen: Qwen, sampling: dict):
    chain = qwen.large.plan(qwen.small.plan(qwen.foreign.plan()))
    got = await both(qwen, qwen.large, chain, "arithmetic", sampling)
    assert got.pair("small").num_accepted_tokens > 0
    assert got.pair("foreign").num_draft_tokens > 0


async def test_the_family_of_the_drafter_matters_less_than_what_it_says(qwen: Qwen):
    """A bridge that lost text on its way would be rejected nearly always."""
    accepted = rejected = 0
    for prompt in CHOSEN:
        plan = qwen.large.plan(qwen.foreign.plan())
        pair = (await both(qwen, qwen.large, plan, prompt, {})).pair("foreign")
        accepted += pair.num_accepted_tokens
        rejected += pair.num_rejected_tokens
    assert accepted > rejected
