"""Rules through the services: who may ask for which, what is told of them, and who lies."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.decoding.goodness_of_fit import fits
from tests.speculation.fleet import Fleet, Replica
from tests.speculation.outside_drafter import Outside, block
from tests.speculation.rule_drafters import Deck, DeckProposer, DeckTier, deck_tier
from tests.speculation.rule_fleet import Stream, long_ask, stream, toy
from tests.speculation.toy_models import memoryless
from tiercel.decoding import TokenDistribution
from tiercel.errors import PlanRefused
from tiercel.rules import is_lossy
from tiercel.sessions import SessionEvent
from tiercel.speculation.proposer import Proposal
from tiercel.types import Acceptance, Rule
from tiercel.v1 import decoding_pb2

TARGET = np.array([0.3, 0.2, 0.15, 0.12, 0.1, 0.07, 0.05, 0.01])
FAR = np.array([0.15, 0.25, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05])
LOSSY = [rule for rule in Rule if is_lossy(rule)]
HONEST = Deck(memoryless(FAR), memoryless(FAR), 1)


async def pair(fleet: Fleet) -> tuple[Replica, Replica]:
    return await toy(fleet, "root", memoryless(TARGET)), await toy(fleet, "leaf", memoryless(FAR))


async def test_strictness_1_of_every_lossy_rule_gives_the_tokens_of_exact(fleet: Fleet):
    root, leaf = await pair(fleet)
    asked = long_ask(60, seed=3)
    plain = await stream(fleet, root, root.plan(), asked)
    for rule in [Rule.EXACT, *LOSSY]:
        plan = root.plan(leaf.plan(num_speculative_tokens=4), acceptance=Acceptance(rule, 1.0))
        got = await stream(fleet, root, plan, asked)
        assert got.token_ids == plain.token_ids, rule
        assert got.end.rule_use is None, "that is EXACT, and nothing is to be told"
        [drafted] = got.end.usage.pairs
        assert drafted.num_accepted_tokens > 0


async def test_the_share_of_tokens_that_exact_would_have_refused_is_known(fleet: Fleet):
    """The target ignores history: what EXACT gives in a place does not depend on the tokens."""
    root, leaf = await pair(fleet)
    asked = long_ask(400, seed=4)
    plain = await stream(fleet, root, root.plan(), asked)
    divergences = []
    for strictness in (0.2, 0.9):
        acceptance = Acceptance(Rule.LENIENT, strictness)
        plan = root.plan(leaf.plan(num_speculative_tokens=4), acceptance=acceptance)
        got = await stream(fleet, root, plan, asked)
        use = got.end.rule_use
        assert (use.rule, use.strictness) == (Rule.LENIENT, strictness)
        assert use.num_compared_tokens == len(got.token_ids) == 400
        both = zip(got.token_ids, plain.token_ids, strict=True)
        assert use.num_divergent_tokens == sum(one != other for one, other in both) > 0
        gaps = [
            np.log(TARGET[other] / TARGET[one])
            for one, other in zip(got.token_ids, plain.token_ids, strict=True)
        ]
        assert use.logprob_gap == pytest.approx(sum(gaps), abs=0.01)
        divergences.append(use.divergence)
    assert divergences[0] > 0


async def test_a_rule_that_keeps_the_distribution_compares_nothing_and_is_named(fleet: Fleet):
    root, leaf = await pair(fleet)
    plan = root.plan(leaf.plan(), acceptance=Acceptance(Rule.BLOCK))
    got = await stream(fleet, root, plan, long_ask(60, seed=5))
    assert got.end.rule_use.rule is Rule.BLOCK
    assert got.end.rule_use.num_compared_tokens == 0
    [drafted] = got.end.usage.pairs
    assert drafted.similarity == pytest.approx(1 - np.abs(TARGET - FAR).sum() / 2, abs=1e-6)


async def test_at_temperature_0_speculative_sampling_is_exact(fleet: Fleet):
    root, leaf = await pair(fleet)
    for rule in (Rule.REJECTION, Rule.BLOCK):
        plan = root.plan(leaf.plan(), acceptance=Acceptance(rule))
        got = await stream(fleet, root, plan, long_ask(40, seed=5, temperature=0.0))
        assert got.token_ids == [0] * 40


async def test_fusion_tells_which_tokens_it_put_in_place_of_the_drafts(fleet: Fleet):
    # The drafter is unsure between two tokens, the target sure of a third.
    unsure = memoryless([0.01, 0.45, 0.44, 0.02, 0.02, 0.02, 0.02, 0.02])
    sure = memoryless([0.93, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01])
    root, leaf = await toy(fleet, "root", sure), await toy(fleet, "leaf", unsure)
    plan = root.plan(leaf.plan(), acceptance=Acceptance(Rule.COSD_RULE, 0.5))
    seen: list[SessionEvent] = []
    got = await stream(fleet, root, plan, long_ask(50, seed=6, temperature=0.0), see=seen.append)
    replaced = [one for event in seen for one in getattr(event, "replacements", ())]
    assert len(replaced) > 5
    for one in replaced:
        assert got.token_ids[one.position] == one.target_token_id == 0
        assert one.draft_token_id == 1
        assert one.draft_prob == pytest.approx(0.45, abs=1e-4)
        assert one.target_prob == pytest.approx(0.93, abs=1e-4)
    assert got.end.rule_use.num_compared_tokens == 50


class LyingProposer(DeckProposer):
    """Sends distributions that a lie has made of the true ones."""

    lie: Callable[[TokenDistribution, int], TokenDistribution]

    async def propose(self, max_tokens: int) -> Proposal:
        proposal = await super().propose(max_tokens)
        both = zip(proposal.distributions, proposal.token_ids, strict=True)
        return replace(proposal, distributions=tuple(self.lie(one, token) for one, token in both))


def scaled(one: TokenDistribution, _: int) -> TokenDistribution:
    return TokenDistribution(one.token_ids, one.probs * np.float32(1.1))


def out_of_range(one: TokenDistribution, _: int) -> TokenDistribution:
    return TokenDistribution(one.token_ids + 1, one.probs)


def without_the_token(one: TokenDistribution, token: int) -> TokenDistribution:
    others = one.token_ids != token
    return TokenDistribution(one.token_ids[others], one.shares[others] / one.shares[others].sum())


def not_numbers(one: TokenDistribution, _: int) -> TokenDistribution:
    return TokenDistribution(one.token_ids, np.full(len(one.probs), np.nan, np.float32))


def endless(one: TokenDistribution, _: int) -> TokenDistribution:
    return TokenDistribution(np.arange(5000), np.full(5000, 1 / 5000, np.float32))


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (scaled, "must add up to 1"),
        (out_of_range, "must be below 8"),
        (without_the_token, "does not hold the draft token"),
        (not_numbers, "must be in [0, 1]"),
        (endless, "at most 1024 entries"),
    ],
)
async def test_who_sends_what_is_no_distribution_loses_its_stream_only(
    fleet, lie, why, monkeypatch
):
    monkeypatch.setattr(LyingProposer, "lie", staticmethod(lie), raising=False)
    monkeypatch.setattr("tests.speculation.rule_drafters.DeckProposer", LyingProposer)
    root = await toy(fleet, "root", memoryless(TARGET))
    liar = await deck_tier(fleet, "liar", HONEST)
    assert isinstance(liar.tier, DeckTier)
    plan = root.plan(liar.plan(), acceptance=Acceptance(Rule.REJECTION))
    got = await stream(fleet, root, plan, long_ask(1000, seed=7))
    assert len(got.token_ids) == 1000
    assert any(why in lost.reason for lost in got.lost)
    assert got.end.usage.pairs[0].num_accepted_tokens == 0


@pytest.mark.parametrize("rule", [Rule.REJECTION, Rule.BLOCK])
async def test_a_drafter_at_the_edge_sends_its_distributions_with_its_blocks(fleet, rule):
    root = await toy(fleet, "root", memoryless(TARGET))
    rng = np.random.default_rng(1)
    sent = decoding_pb2.TokenDistribution(token_ids=range(8), probs=FAR.tolist())

    class Edge(Outside):
        def _take(self, message, committed):
            reply = super()._take(message, committed)
            if reply is None:
                return None
            draft = rng.choice(8, size=12, p=FAR).tolist()
            return block(self.sequence, draft, distributions=[sent] * 12)

    edge = Edge(fleet, root, lambda sequence: [0])
    asked = replace(long_ask(4000, seed=8), logprobs=True)
    got = await edge.answer(asked, root.plan(acceptance=Acceptance(rule)))
    assert fits(np.bincount(got.token_ids, minlength=8), TARGET)
    assert sum(edge.accepted) > 2000


async def test_a_rule_may_become_stricter_in_mid_answer_and_never_laxer(fleet: Fleet):
    root, leaf = await pair(fleet)
    first = root.plan(leaf.plan(), acceptance=Acceptance(Rule.LENIENT, 0.5))

    async def replanned(acceptance: Acceptance) -> Stream:
        plan = replace(first, version=1, acceptance=acceptance)
        is_told = False

        def tell(session, got: Stream) -> None:
            nonlocal is_told
            if not is_told:
                is_told = True
                session.replan(plan)

        return await stream(fleet, root, first, long_ask(1500, seed=9), watch=tell)

    for stricter in (Acceptance(Rule.LENIENT, 0.8), Acceptance(Rule.BLOCK), Acceptance()):
        got = await replanned(stricter)
        assert len(got.token_ids) == 1500
    for laxer in (Acceptance(Rule.LENIENT, 0.4), Acceptance(Rule.TYPICAL, 0.9)):
        with pytest.raises(PlanRefused, match="laxer than what was allowed"):
            await replanned(laxer)


async def test_rules_that_a_tier_cannot_follow_are_refused(fleet: Fleet):
    root, leaf = await pair(fleet)
    for rule, why in ((Rule.COSD_TREE, "no decision tree"), (Rule.AGREEMENT, "no calibration")):
        plan = root.plan(leaf.plan(), acceptance=Acceptance(rule, 0.5))
        with pytest.raises(PlanRefused, match=why):
            await stream(fleet, root, plan, long_ask(10, seed=1))
