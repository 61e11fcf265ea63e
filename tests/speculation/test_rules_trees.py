"""Two drafters under REJECTION, verified as one tree through the real services: the law is kept."""

import asyncio

import numpy as np
import pytest

from tests.decoding.goodness_of_fit import fits
from tests.speculation.fleet import Fleet
from tests.speculation.rule_drafters import Deck, deck_tier
from tests.speculation.rule_fleet import Stream, long_ask, stream, toy
from tests.speculation.toy_models import ToyModel, memoryless
from tiercel.decoding import siblings
from tiercel.rules import is_lossy
from tiercel.speculation.links import Links
from tiercel.types import Acceptance, Rule

TARGET = np.array([0.3, 0.2, 0.15, 0.12, 0.1, 0.07, 0.05, 0.01])
ONE = np.array([0.05, 0.35, 0.05, 0.3, 0.05, 0.1, 0.05, 0.05])
OTHER = np.array([0.1, 0.3, 0.3, 0.05, 0.05, 0.1, 0.05, 0.05])
NUM_TOKENS, CONTROL = 2500, 1000


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Propose nothing before both drafters have: what is shown should not hang on time."""
    propose = Links.propose

    async def patient(self, most, costs, *others, **named):
        for link in self:
            link.ask(costs, most)
        while any(not link.is_over and not link.draft().token_ids for link in self):
            await asyncio.sleep(0)
        return await propose(self, most, costs, *others, **named)

    monkeypatch.setattr(Links, "propose", patient)


@pytest.fixture
def trees(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the trees that were verified."""
    sizes, extend = list[int](), ToyModel.extend

    def noted(self, steps):
        sizes.extend(len(step.tokens) for step in steps if step.parents is not None)
        return extend(self, steps)

    monkeypatch.setattr(ToyModel, "extend", noted)
    return sizes


async def answer(fleet: Fleet, rule: Rule, num_tokens: int, *, says: bool = True) -> Stream:
    root = await toy(fleet, "root", memoryless(TARGET), takes_trees=True)
    one = await deck_tier(fleet, "one", Deck(memoryless(ONE), memoryless(ONE), 1, says))
    other = await deck_tier(fleet, "other", Deck(memoryless(OTHER), memoryless(OTHER), 2, says))
    below = (drafter.plan(num_speculative_tokens=2) for drafter in (one, other))
    strictness = 0.5 if is_lossy(rule) else 1.0
    plan = root.plan(*below, acceptance=Acceptance(rule, strictness))
    return await stream(fleet, root, plan, long_ask(num_tokens, seed=7))


async def test_two_drafters_keep_the_targets_distribution(fleet: Fleet, trees: list[int]):
    got = await answer(fleet, Rule.REJECTION, NUM_TOKENS)
    assert fits(got.counts(8), TARGET)
    assert len(trees) > 500, "nothing was proved: few passes had two drafts"
    one, other = got.end.usage.pairs
    assert min(one.num_accepted_tokens, other.num_accepted_tokens) > 100
    for found, probs in ((one, ONE), (other, OTHER)):
        assert found.similarity == pytest.approx(1 - np.abs(TARGET - probs).sum() / 2, abs=1e-6)


async def test_a_second_draft_that_is_tried_against_all_of_the_target_is_seen(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(siblings, "scaled_rest", lambda left, *_: left)
    got = await answer(fleet, Rule.REJECTION, CONTROL)
    assert not fits(got.counts(8), TARGET)


@pytest.mark.parametrize("rule", [Rule.BLOCK, Rule.ENSEMBLE])
@pytest.mark.parametrize("says", [True, False])
async def test_rules_that_judge_one_draft_get_one(
    fleet: Fleet, trees: list[int], rule: Rule, says: bool
):
    got = await answer(fleet, rule, 200, says=says)
    assert len(got.token_ids) == 200
    assert not trees
