"""Drafters that are asked for what pays, and left alone otherwise: the answer stays the same."""

import pytest

from services.verifier.servicer import VerifierServicer
from tests.speculation.answers import HOT, answer, ask, plain
from tests.speculation.fleet import Fleet, Weights
from tiercel.engines import load
from tiercel.speculation.model_tier import Habits, ModelTier
from tiercel.speculation.runner import ModelRunner

JUDGED = {"always_draft": False, "tier_class": ModelTier}


@pytest.mark.parametrize("sampling", [{}, HOT], ids=["greedy", "sampled"])
@pytest.mark.parametrize("tokens_ahead", [0, 8])
async def test_the_answer_is_the_plain_one(fleet: Fleet, sampling: dict, tokens_ahead: int):
    ahead = {"tokens_ahead": tokens_ahead, **JUDGED}
    root = await fleet.model("root", **ahead)
    good = await fleet.model("good", Weights("int8"), **ahead)
    poor = await fleet.model("poor", Weights(noise=0.05), **ahead)
    suffix = await fleet.suffix(min_confidence=0.01)
    asked = ask("abcabcabc " * 4, max_new_tokens=200, ignore_eos=True, **sampling)
    expected = await plain(fleet, root, asked)
    for plan in (
        root.plan(good.plan()),
        root.plan(good.plan(poor.plan(suffix.plan()))),
        root.plan(poor.plan(num_speculative_tokens=16), suffix.plan(num_speculative_tokens=16)),
    ):
        for _ in range(2):
            assert (await answer(fleet, root, plan, asked)).same == expected.same


async def test_a_drafter_that_pays_is_asked_for_longer_and_longer_blocks(fleet: Fleet):
    """A target whose pass takes 50 ms, whatever its width, and a drafter of the same tokens."""
    target = load("simulated", "target?base_s=0.05")
    draft = load("simulated", "draft")

    def tier(name: str, loaded):
        def build():
            built = ModelTier(name, ModelRunner(loaded[0]), loaded[1], Habits())
            return built, VerifierServicer(built, max_request_s=150.0)

        return build

    root = await fleet.start("target", tier("target", target))
    leaf = await fleet.start("draft", tier("draft", draft))
    asked = ask(max_new_tokens=200, ignore_eos=True)
    plan = root.plan(leaf.plan(num_speculative_tokens=16))
    got = await answer(fleet, root, plan, asked)
    pair = got.pair("draft")
    assert pair.num_rejected_tokens == 0
    assert len(pair.accepted_per_position) > 4
    alone = await fleet.start("alone", tier("alone", load("simulated", "target")))
    assert got.token_ids == (await plain(fleet, alone, asked)).token_ids
