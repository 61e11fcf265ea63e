"""What rules other than EXACT make of drafts that come over a bridge."""

import numpy as np
import pytest

from services.verifier.servicer import VerifierServicer
from tests.decoding.goodness_of_fit import fits
from tests.speculation.answers import HOT, answer, ask
from tests.speculation.fleet import HEARTBEAT_S, Fleet, PatientTier, Replica, Weights
from tests.speculation.toy_models import ToyModel, letters, markov
from tiercel.speculation.model_tier import Habits
from tiercel.speculation.runner import ModelRunner
from tiercel.tokenizer import Tokenizer
from tiercel.types import Acceptance, Message, Rule

NUM_LETTERS, NUM_TOKENS = 4, 1200


@pytest.mark.parametrize("rule", [Rule.REJECTION, Rule.BLOCK])
async def test_the_distribution_is_the_targets(fleet: Fleet, rule: Rule):
    """The drafter has the letters in another order, and two of them as one token, too."""
    table, other = markov(1, NUM_LETTERS), markov(2, NUM_LETTERS + 1)
    root = await toy(fleet, "root", table, letters(NUM_LETTERS))
    drafter = await toy(fleet, "drafter", other, named("d", "c", "b", "a", "ab"))
    plan = root.plan(drafter.plan(), acceptance=Acceptance(rule))
    asked = ask("abcd", max_new_tokens=NUM_TOKENS, temperature=1.0, seed=3)
    got = await answer(fleet, root, plan, asked)
    assert not got.lost
    pair = got.pair("drafter")
    assert pair.num_accepted_tokens > 100 and pair.num_rejected_tokens > 100
    counts = np.zeros((NUM_LETTERS, NUM_LETTERS), np.int64)
    np.add.at(counts, (got.token_ids[:-1], got.token_ids[1:]), 1)
    drafted = other[:NUM_LETTERS, :NUM_LETTERS][::-1, ::-1]
    assert all(fits(row, probs) for row, probs in zip(counts, table, strict=True))
    assert not all(fits(row, probs) for row, probs in zip(counts, drafted, strict=True))


async def test_what_both_vocabularies_have_is_weighed_by_how_it_was_drawn(fleet: Fleet):
    """The target's twin under other ids: taken for certain, most of its tokens would not stand."""
    table = markov(1, NUM_LETTERS)
    root = await toy(fleet, "root", table, letters(NUM_LETTERS))
    twin = await toy(fleet, "twin", table[::-1, ::-1], named("d", "c", "b", "a"))
    plan = root.plan(twin.plan(), acceptance=Acceptance(Rule.REJECTION))
    got = await answer(fleet, root, plan, ask("abcd", max_new_tokens=100, temperature=1.0, seed=3))
    pair = got.pair("twin")
    assert pair.acceptance_rate > 0.7, "a block that comes too late is rejected, and no other"
    assert pair.similarity == pytest.approx(1, abs=1e-6)


async def test_a_drafter_with_hardly_a_token_in_common_is_refused(fleet: Fleet):
    root = await toy(fleet, "root", markov(1, NUM_LETTERS), letters(NUM_LETTERS))
    names = ["a", *(f"{one}{other}" for one in "abcd" for other in "abc")]
    drafter = await toy(fleet, "drafter", markov(2, len(names)), named(*names))
    asked = ask("aaaa", max_new_tokens=20, temperature=1.0, seed=3)
    plan = root.plan(drafter.plan(), acceptance=Acceptance(Rule.REJECTION))
    got = await answer(fleet, root, plan, asked)
    assert [lost.path for lost in got.lost] == [("root", "drafter")]
    assert "only 7.7% of its tokens are tokens of root too" in got.lost[0].reason
    assert len(got.token_ids) == 20
    got = await answer(fleet, root, root.plan(drafter.plan()), asked)
    assert not got.lost, "for EXACT the text is all that counts"


async def test_a_rule_of_fusion_sees_how_sure_the_drafter_is(fleet: Fleet):
    """Of a draft without probabilities it would keep nothing but the target's own tokens."""
    root = await fleet.model("root", Weights(tokenizer="bytes"))
    drafter = await fleet.model("drafter", Weights(tokenizer="bytes, reversed", noise=0.3))
    asked = ask((Message("user", "the thing"),), max_new_tokens=80, ignore_eos=True, **HOT)
    plan = root.plan(drafter.plan(), acceptance=Acceptance(Rule.COSD_RULE, 0.5))
    got = await answer(fleet, root, plan, asked)
    assert not got.lost
    assert got.end.rule_use.num_divergent_tokens > 0
    assert got.end.rule_use.rule is Rule.COSD_RULE


@pytest.mark.parametrize(("sure", "word"), [(0.4, "ac"), (0.6, "ab")])
async def test_fusion_compares_spans_of_text(fleet: Fleet, sure: float, word: str):
    """One token of the drafter's is two of the target's, and that doubts the second of them."""
    after_a, after_others = [0.02, 0.04, 0.9, 0.04], [0.95, 0.02, 0.02, 0.01]
    table = np.array([after_a, after_others, after_others, after_others])
    root = await toy(fleet, "root", table, letters(NUM_LETTERS))
    drafts = np.tile([*[(1 - sure) / 4] * 4, sure], (5, 1))
    drafter = await toy(fleet, "drafter", drafts, named("a", "b", "c", "d", "ab"))
    plan = root.plan(drafter.plan(), acceptance=Acceptance(Rule.COSD_RULE, 0.5))
    got = await answer(fleet, root, plan, ask("dd", max_new_tokens=40))
    assert not got.lost
    replaced = [one for commit in got.commits for one in commit.replacements]
    if word == "ab":
        assert not replaced and got.text.count(word) > 10
        return
    assert got.text == word * 20 and len(replaced) > 10
    for one in replaced:
        assert (one.draft_token_id, one.target_token_id) == (1, 2)
        assert one.draft_prob == pytest.approx(0.4, abs=1e-4)
        assert one.target_prob == pytest.approx(0.95 * 0.9, abs=1e-4)


def named(*tokens: str) -> Tokenizer:
    """Return a tokenizer of these tokens, of one letter or two."""
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": list(tokens),
        "tokenizer.ggml.token_type": [1] * len(tokens),
        "tokenizer.ggml.merges": [
            f"{token[0]} {token[1]}"
            for token in tokens
            if len(token) == 2 and {token[0], token[1]} <= set(tokens)
        ],
    }
    return Tokenizer.from_gguf(metadata.get)


async def toy(fleet: Fleet, name: str, table: np.ndarray, tokenizer: Tokenizer) -> Replica:
    def build() -> tuple[PatientTier, VerifierServicer]:
        habits = Habits(always_draft=True, heartbeat_s=HEARTBEAT_S)
        tier = PatientTier(name, ModelRunner(ToyModel(table, name)), tokenizer, habits)
        return tier, VerifierServicer(tier, max_request_s=150.0)

    return await fleet.start(name, build)
