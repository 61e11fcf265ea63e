"""The exact rules keep the target's distribution through the real services: long streams, counted.

The target ignores what came before, so every token of an answer is one draw from the same known
distribution, and 200,000 of them for each rule say whether it is kept.
"""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from tests.decoding.goodness_of_fit import fits
from tests.speculation.fleet import Fleet
from tests.speculation.rule_drafters import Deck, deck_tier
from tests.speculation.rule_fleet import Stream, long_ask, stream, toy
from tests.speculation.toy_models import memoryless
from tiercel.types import Acceptance, FinishReason, Rule

TARGET = np.array([0.3, 0.2, 0.15, 0.12, 0.1, 0.07, 0.05, 0.01])
NEAR = np.array([0.29, 0.205, 0.155, 0.12, 0.105, 0.065, 0.05, 0.01])
FAR = np.array([0.15, 0.25, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05])
RULES = pytest.mark.parametrize("rule", [Rule.REJECTION, Rule.BLOCK])
WHOLE, DISTURBED = 165_000, 35_000  # tokens for each rule: 200,000 together


def honest(probs, seed: int) -> Deck:
    return Deck(memoryless(probs), memoryless(probs), seed)


@pytest.mark.timeout(600)
@RULES
async def test_a_long_answer_has_the_targets_distribution(fleet: Fleet, rule: Rule):
    root = await toy(fleet, "root", memoryless(TARGET))
    drafter = await deck_tier(fleet, "drafter", honest(NEAR, 1))
    plan = root.plan(drafter.plan(num_speculative_tokens=64), acceptance=Acceptance(rule))
    got = await stream(fleet, root, plan, long_ask(WHOLE, seed=11))
    assert len(got.token_ids) == WHOLE
    assert fits(got.counts(8), TARGET)
    [pair] = got.end.usage.pairs
    assert pair.num_accepted_tokens > 0.9 * WHOLE, "nothing was proved: too little was drafted"
    assert pair.similarity == pytest.approx(1 - np.abs(TARGET - NEAR).sum() / 2, abs=1e-6)


@pytest.mark.timeout(600)
@RULES
async def test_it_keeps_it_through_losses_plan_changes_and_cancellations(fleet: Fleet, rule: Rule):
    """Streams are lost and opened again, drafters and rules change, answers end in the middle."""
    root = await toy(fleet, "root", memoryless(TARGET))
    near = await deck_tier(fleet, "near", honest(NEAR, 2))
    far = await deck_tier(fleet, "far", honest(FAR, 3))
    acceptance, other = Acceptance(rule), Acceptance(Rule.BLOCK)
    plans = [
        root.plan(near.plan(num_speculative_tokens=32), acceptance=acceptance),
        root.plan(far.plan(num_speculative_tokens=8), acceptance=acceptance),
        root.plan(
            near.plan(num_speculative_tokens=16),
            far.plan(num_speculative_tokens=4),
            acceptance=other,
        ),
        root.plan(near.plan(num_speculative_tokens=64), acceptance=acceptance),
    ]
    tokens: list[int] = []
    version, num_lost = 0, 0
    while len(tokens) < DISTURBED:
        due = {400: "lose", 2000: "replan", 4000: "lose", 7000: "cancel"}

        def disturb(session, got: Stream, due=due) -> None:
            nonlocal version
            while due and len(got.token_ids) >= min(due):
                what = due.pop(min(due))
                if what == "lose":
                    near.tier.draft_server.leave("a test")
                elif what == "cancel":
                    session.finish()
                else:
                    version += 1
                    session.replan(replace(plans[version % 4], version=version))

        first = replace(plans[version % 4], version=version)
        committed = tokens[-5:]
        asked = long_ask(500_000, seed=len(tokens))
        got = await stream(fleet, root, first, asked, watch=disturb, committed=committed)
        assert got.end.reason is FinishReason.CANCELLED
        num_lost += len(got.lost)
        tokens += got.token_ids
    assert num_lost, "no stream was lost"
    assert version >= 4, "every plan had its turn"
    assert fits(np.bincount(tokens, minlength=8), TARGET)


@RULES
async def test_a_drafter_that_sends_another_distribution_than_it_drew_from_is_seen(
    fleet: Fleet, rule: Rule
):
    root = await toy(fleet, "root", memoryless(TARGET))
    lying = await deck_tier(fleet, "lying", Deck(memoryless(FAR), memoryless(NEAR), 4))
    plan = root.plan(lying.plan(num_speculative_tokens=16), acceptance=Acceptance(rule))
    got = await stream(fleet, root, plan, long_ask(8000, seed=5))
    assert not fits(got.counts(8), TARGET)


@RULES
async def test_a_drafter_that_says_nothing_counts_as_certain(fleet: Fleet, rule: Rule):
    """It knows the rule, or it does not: the answer's distribution is the target's."""
    root = await toy(fleet, "root", memoryless(TARGET))
    silent = await deck_tier(fleet, "silent", replace(honest(NEAR, 6), says=False))
    plan = root.plan(silent.plan(num_speculative_tokens=4), acceptance=Acceptance(rule))
    got = await stream(fleet, root, plan, long_ask(3000, seed=6))
    assert fits(got.counts(8), TARGET)
    [pair] = got.end.usage.pairs
    assert pair.num_accepted_tokens > 100 and pair.num_compared == 0


async def test_two_answers_at_once_do_not_share_their_numbers(fleet: Fleet):
    root = await toy(fleet, "root", memoryless(TARGET))
    leaf = await toy(fleet, "leaf", memoryless(FAR))
    plan = root.plan(leaf.plan(num_speculative_tokens=4), acceptance=Acceptance(Rule.REJECTION))
    answers = [stream(fleet, root, plan, long_ask(1000, seed=seed)) for seed in (1, 2)]
    one, other = await asyncio.gather(*answers)
    agree = np.mean(np.array(one.token_ids) == np.array(other.token_ids))
    assert abs(agree - (TARGET**2).sum()) < 0.08
