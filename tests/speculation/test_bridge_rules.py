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
    table, other = markov(1, NUM_LETTERS), markov(2, NUM_LETTERS)
    root = await toy(fleet, "root", table, letters(NUM_LETTERS))
    drafter = await toy(fleet, "drafter", other[::-1, ::-1], backwards(NUM_LETTERS))
    plan = root.plan(drafter.plan(), acceptance=Acceptance(rule))
    asked = ask("abcd", max_new_tokens=NUM_TOKENS, temperature=1.0, seed=3)
    got = await answer(fleet, root, plan, asked)
    assert not got.lost
    pair = got.pair("drafter")
    assert pair.num_accepted_tokens > 100 and pair.num_rejected_tokens > 100
    counts = np.zeros((NUM_LETTERS, NUM_LETTERS), np.int64)
    np.add.at(counts, (got.token_ids[:-1], got.token_ids[1:]), 1)
    assert all(fits(row, probs) for row, probs in zip(counts, table, strict=True))
    assert not all(fits(row, probs) for row, probs in zip(counts, other, strict=True))


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


def backwards(num_letters: int) -> Tokenizer:
    """Return the tokenizer of `letters` with the ids in reverse."""
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": [chr(ord("a") + n) for n in reversed(range(num_letters))],
        "tokenizer.ggml.token_type": [1] * num_letters,
        "tokenizer.ggml.merges": [],
    }
    return Tokenizer.from_gguf(metadata.get)


async def toy(fleet: Fleet, name: str, table: np.ndarray, tokenizer: Tokenizer) -> Replica:
    def build() -> tuple[PatientTier, VerifierServicer]:
        habits = Habits(always_draft=True, heartbeat_s=HEARTBEAT_S)
        tier = PatientTier(name, ModelRunner(ToyModel(table, name)), tokenizer, habits)
        return tier, VerifierServicer(tier, max_request_s=150.0)

    return await fleet.start(name, build)
