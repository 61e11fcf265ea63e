"""Chains of tiny Markov models through the real services: the joint law of three tokens is kept.

In a long answer every token follows two others: the counts of what comes after each pair are held
against the target's own table. A middle tier sends a truncated distribution and judges the tier
below it by that; one that does otherwise has to be found out.
"""

from dataclasses import replace

import numpy as np
import pytest

from tests.decoding.goodness_of_fit import fits_each
from tests.speculation.fleet import Fleet, PatientTier, Replica
from tests.speculation.rule_drafters import Deck, deck_tier
from tests.speculation.rule_fleet import Stream, long_ask, stream, toy
from tests.speculation.tampering import tampered
from tests.speculation.toy_models import markov
from tiercel.decoding import TokenDistribution
from tiercel.speculation.session import Session
from tiercel.types import Acceptance, Rule

SIZE = 5
TARGET, MIDDLE = markov(1), markov(1) * 0.6 + markov(2) * 0.4
LEAF = markov(1) * 0.5 + markov(3) * 0.5
RULES = pytest.mark.parametrize("rule", [Rule.REJECTION, Rule.BLOCK])


def keeps_the_joint_law(tokens: list[int]) -> bool:
    counts = np.zeros((SIZE, SIZE, SIZE), np.int64)
    first, second, third = np.array(tokens[:-2]), np.array(tokens[1:-1]), np.array(tokens[2:])
    np.add.at(counts, (first, second, third), 1)
    return fits_each(counts, np.broadcast_to(TARGET, counts.shape))


async def chain(fleet: Fleet, **middle) -> tuple[Replica, Replica, Replica]:
    """A root, a middle tier that sends three of five tokens, and a drafter for either."""
    root = await toy(fleet, "root", TARGET)
    between = await toy(fleet, "middle", MIDDLE, **{"draft_support": 3} | middle)
    leaf = await deck_tier(fleet, "leaf", Deck(LEAF, LEAF, 1))
    return root, between, leaf


@RULES
async def test_two_levels(fleet: Fleet, rule: Rule):
    """The drafter is a model tier as it is served, with a distribution cut to three tokens."""
    root, middle, _ = await chain(fleet)
    plan = root.plan(middle.plan(num_speculative_tokens=4), acceptance=Acceptance(rule))
    got = await stream(fleet, root, plan, long_ask(5000, seed=1))
    assert keeps_the_joint_law(got.token_ids)
    [pair] = got.end.usage.pairs
    assert pair.num_accepted_tokens > 1500


@RULES
@pytest.mark.parametrize("inner", [Rule.EXACT, Rule.BLOCK])
async def test_three_levels_through_losses_and_plan_changes(fleet: Fleet, rule: Rule, inner: Rule):
    root, middle, leaf = await chain(fleet)
    below = middle.plan(
        leaf.plan(num_speculative_tokens=4),
        num_speculative_tokens=6,
        acceptance=Acceptance(inner),
    )
    plans = [
        root.plan(below, acceptance=Acceptance(rule)),
        root.plan(leaf.plan(num_speculative_tokens=6), acceptance=Acceptance(rule), version=1),
        root.plan(replace(below, num_speculative_tokens=3), acceptance=Acceptance(rule), version=2),
    ]
    due = {500: "lose", 1000: 1, 1500: "lose", 2000: 2, 3000: "lose"}

    def disturb(session, got: Stream) -> None:
        while due and len(got.token_ids) >= min(due):
            what = due.pop(min(due))
            if what == "lose":
                leaf.tier.draft_server.leave("a test")
                middle.tier.draft_server.leave("a test")
            else:
                session.replan(plans[what])

    got = await stream(fleet, root, plans[0], long_ask(5000, seed=2), watch=disturb)
    assert keeps_the_joint_law(got.token_ids)
    pairs = {(pair.drafter, pair.verifier): pair for pair in got.end.usage.pairs}
    # Until the first loss there is always a draft: half a hundred tokens, by luck fewer or more.
    assert pairs["middle", "root"].num_accepted_tokens > 15
    assert pairs["leaf", "middle"].num_accepted_tokens > 15
    assert got.lost


def cut_after_judging(session: Session) -> None:
    """Judge by the whole distribution, and send the best three tokens and the drawn one of it."""
    verify = session.verify

    async def judged_by_more_than_is_sent(*arguments):
        verified = await verify(*arguments)
        if verified is None or verified.distributions is None:
            return verified
        both = zip(verified.distributions, verified.token_ids, strict=True)
        return replace(verified, distributions=tuple(cut(one, token) for one, token in both))

    session.verify = judged_by_more_than_is_sent


def cut(whole: TokenDistribution, drawn: int) -> TokenDistribution:
    kept = sorted({*whole.token_ids[np.argsort(-whole.shares)[:3]].tolist(), drawn})
    probs = [whole.prob(token) for token in kept]
    return TokenDistribution.of(kept, [prob / sum(probs) for prob in probs])


@RULES
async def test_a_middle_tier_that_judges_by_more_than_it_sends_is_seen(fleet: Fleet, rule: Rule):
    """What it says holds every token that it sends, and adds up: only the counts can tell."""
    root, middle, leaf = await chain(
        fleet, draft_support=SIZE, tier_class=tampered(cut_after_judging)
    )
    below = middle.plan(leaf.plan(num_speculative_tokens=4), num_speculative_tokens=6)
    plan = root.plan(below, acceptance=Acceptance(rule))
    got = await stream(fleet, root, plan, long_ask(4000, seed=3))
    assert not keeps_the_joint_law(got.token_ids)


async def test_a_patient_tier_is_as_good_a_middle_as_any(fleet: Fleet):
    """The control of the control: not tampered with, the same chain passes."""
    root, middle, leaf = await chain(fleet, draft_support=SIZE, tier_class=PatientTier)
    below = middle.plan(leaf.plan(num_speculative_tokens=4), num_speculative_tokens=6)
    plan = root.plan(below, acceptance=Acceptance(Rule.REJECTION))
    got = await stream(fleet, root, plan, long_ask(4000, seed=3))
    assert keeps_the_joint_law(got.token_ids)
