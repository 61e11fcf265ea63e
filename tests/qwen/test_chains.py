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
@pytest.mark.parametrize("lowest", ["foreign", "suffix"])
@pytest.mark.parametrize("prompt", ["arithmetic", "code to go on"])
async def test_three_levels_say_what_their_root_says(
    qwen: Qwen, prompt: str, lowest: str, sampling: dict
):
    chain = qwen.large.plan(qwen.small.plan(getattr(qwen, lowest).plan()))
    got = await both(qwen, qwen.large, chain, prompt, sampling)
    assert got.pair("small").num_accepted_tokens > 0
    if lowest == "foreign":  # look-ups need not have anything to say
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
