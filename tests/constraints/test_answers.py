"""Constrained answers over sockets: they match, and no chain, failover or re-plan changes them."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import cache

import jsonschema
import numpy as np
import pytest

from tests.constraints.hashed_model import HashedModel
from tests.speculation.answers import HOT, Answer, answer, ask, plain
from tests.speculation.fleet import Fleet, Models, Replica, Weights
from tiercel.constraints import TokenMask
from tiercel.constraints.grammars import _Prepared
from tiercel.decoding import Vocabulary
from tiercel.errors import InvalidRequest, PlanRefused, TiercelError
from tiercel.models.embedded import DEFAULT_MODEL
from tiercel.models.resolve import resolve
from tiercel.sessions import Ask
from tiercel.speculation.model_tier import ModelTier
from tiercel.speculation.session import Session
from tiercel.tokenizer import Tokenizer
from tiercel.types import Acceptance, Constraint, ConstraintForm, FinishReason, Rule

SCHEMA = {
    "type": "object",
    "properties": {
        "ship": {"type": "string", "maxLength": 20},
        "masts": {"type": "integer", "minimum": 1, "maximum": 5},
        "rig": {"enum": ["sloop", "schooner", "ketch"]},
        "crew": {"type": "array", "items": {"type": "string", "maxLength": 6}, "maxItems": 3},
        "logs": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
    },
    "required": ["ship", "masts", "rig", "crew", "logs"],
    "additionalProperties": False,
}
SHIP = Constraint(ConstraintForm.JSON_SCHEMA, json.dumps(SCHEMA))
SAMPLINGS = {"greedy": {}, "sampled": HOT}
LOW = Weights(noise=0.5)


class HashedModels(Models):
    """Models over SmolLM2's tokens; loaded anew for every tier, for it costs nothing."""

    def __init__(self) -> None:
        self.tokenizer = resolve(DEFAULT_MODEL).read_tokenizer()

    def load(self, name: str, weights: Weights) -> tuple[HashedModel, Tokenizer]:
        return HashedModel(self.tokenizer.vocab_size, noise=weights.noise), self.tokenizer


@pytest.fixture(scope="module")
def models() -> Iterator[HashedModels]:
    """All tiers have one tokenizer: what is made of it is made once, before anything is timed."""
    models, prepared = HashedModels(), cache(_Prepared.of)
    size = models.tokenizer.vocab_size
    prepared(models.tokenizer, size)
    vocabulary = Vocabulary.of([models.tokenizer.token_bytes(id) for id in range(size)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Prepared, "of", prepared)
        patch.setattr(Vocabulary, "of", lambda _: vocabulary)
        yield models


@pytest.fixture
async def fleet(models: HashedModels) -> AsyncIterator[Fleet]:
    fleet = Fleet(models)
    yield fleet
    await fleet.close()


@pytest.fixture(params=SAMPLINGS)
def asked(request: pytest.FixtureRequest) -> Ask:
    return constrained(**SAMPLINGS[request.param])


def constrained(constraint: Constraint = SHIP, **sampling) -> Ask:
    return replace(ask("A ship:", max_new_tokens=300, **sampling), constraint=constraint)


def checked(got: Answer) -> Answer:
    """Check that the answer is whole and holds to its schema."""
    assert got.end.reason is FinishReason.STOP_TOKEN
    jsonschema.validate(json.loads(got.text), SCHEMA)
    return got


async def test_whatever_the_seed_it_parses_and_validates(fleet: Fleet):
    root = await fleet.model("root")
    texts = set()
    for seed in range(4):
        asked = constrained(temperature=1.0, seed=seed)
        texts.add(checked(await plain(fleet, root, asked)).text)
    assert len(texts) == 4
    free = await plain(fleet, root, ask("A ship:", max_new_tokens=20))
    with pytest.raises(ValueError):
        json.loads(free.text)


async def test_no_chain_changes_it(fleet: Fleet, asked: Ask):
    root = await fleet.model("root")
    low = await fleet.model("low", LOW)
    twin = await fleet.model("twin")
    suffix = await fleet.suffix()
    expected = checked(await plain(fleet, root, asked))
    plans = (
        root.plan(low.plan(num_speculative_tokens=3)),
        root.plan(twin.plan(num_speculative_tokens=8)),
        root.plan(suffix.plan(num_speculative_tokens=4)),
        root.plan(low.plan(suffix.plan(num_speculative_tokens=2), num_speculative_tokens=5)),
        root.plan(twin.plan(low.plan(num_speculative_tokens=2), num_speculative_tokens=4)),
    )
    for plan in plans:
        got = await answer(fleet, root, plan, asked)
        assert got.same == expected.same
        assert not got.lost


async def test_a_drafter_that_is_the_target_is_always_right(fleet: Fleet, asked: Ask):
    """It can be so only if it masks, too."""
    root, twin = await two(fleet)
    plan = root.plan(twin.plan(num_speculative_tokens=4))
    pair = checked(await answer(fleet, root, plan, asked)).pair("twin")
    assert pair.acceptance_rate == 1.0
    assert pair.num_accepted_tokens > 10


async def test_a_mask_off_by_one_is_found(fleet: Fleet, asked: Ask, monkeypatch):
    root, twin = await two(fleet)
    expected = checked(await plain(fleet, root, asked))
    masked = TokenMask.masked

    def late(self, logits, answer, draft):
        rows = masked(self, logits, answer, draft)
        if len(draft) > 1:
            rows[1:] = np.where(np.isneginf(rows[:-1]), -np.inf, logits[1:])
        return rows

    monkeypatch.setattr(TokenMask, "masked", late)
    plan = root.plan(twin.plan(num_speculative_tokens=4))
    try:
        got = await answer(fleet, root, plan, asked)
    except TiercelError:
        return  # nothing that was allowed before is possible here
    assert got.token_ids != expected.token_ids


async def test_the_model_running_ahead_keeps_to_it(fleet: Fleet, asked: Ask, monkeypatch):
    root = await fleet.model("root", tier_class=ModelTier)
    follow, followed = Session._follow, []

    def noted(*arguments):
        followed.append(follow(*arguments))
        return followed[-1]

    monkeypatch.setattr(Session, "_follow", noted)
    ahead = checked(await plain(fleet, root, asked))
    assert any(followed)
    monkeypatch.setattr(Session, "_follow", lambda *_: None)
    assert ahead.same == (await plain(fleet, root, asked)).same


async def test_another_replica_goes_on_where_the_first_stopped(fleet: Fleet, asked: Ask):
    root = await fleet.model("root")
    whole = checked(await plain(fleet, root, asked))
    for place in (1, 7, len(whole.token_ids) - 1, len(whole.token_ids)):
        rest = await plain(fleet, root, asked, committed=whole.token_ids[:place])
        assert rest.token_ids == whole.token_ids[place:]
        assert rest.end.reason is FinishReason.STOP_TOKEN


async def test_committed_tokens_that_it_does_not_allow_are_refused(fleet: Fleet):
    root = await fleet.model("root")
    with pytest.raises(InvalidRequest) as refused:
        await plain(fleet, root, constrained(), committed=[500, 501])
    assert refused.value.field == "committed_token_ids"


@pytest.mark.parametrize(
    ("constraint", "why"),
    [
        (Constraint(ConstraintForm.JSON_SCHEMA, '{"type": "ship"}'), "constraint.json_schema="),
        (Constraint(ConstraintForm.REGEX, "("), "constraint.regex="),
        (Constraint(ConstraintForm.LARK_GRAMMAR, "x"), "constraint.lark_grammar="),
        (Constraint(ConstraintForm.REGEX, "a" * 65_537), "constraint.regex=65537"),
    ],
)
async def test_a_bad_constraint_is_named(fleet: Fleet, constraint: Constraint, why: str):
    root = await fleet.model("root")
    with pytest.raises(InvalidRequest) as refused:
        await plain(fleet, root, constrained(constraint))
    assert why in str(refused.value)


async def test_an_answer_without_end_is_refused(fleet: Fleet):
    root = await fleet.model("root")
    asked = replace(constrained(), ignore_eos=True)
    with pytest.raises(InvalidRequest, match=r"stop\.ignore_eos=True"):
        await plain(fleet, root, asked)


@pytest.mark.parametrize("rule", [Rule.REJECTION, Rule.BLOCK, Rule.LENIENT, Rule.TYPICAL])
async def test_rules_that_ask_the_target_keep_to_it(fleet: Fleet, rule: Rule):
    """Whatever the drafter says: this one knows nothing of grammars."""
    root, suffix = await fleet.model("root"), await fleet.suffix(min_confidence=0.0)
    acceptance = Acceptance(rule, 0.5) if rule in (Rule.LENIENT, Rule.TYPICAL) else Acceptance(rule)
    plan = root.plan(suffix.plan(num_speculative_tokens=4), acceptance=acceptance)
    for seed in range(2):
        got = checked(await answer(fleet, root, plan, constrained(temperature=1.0, seed=seed)))
        assert not got.lost


async def test_rules_that_take_a_drafters_word_are_refused(fleet: Fleet):
    root, low = await fleet.model("root"), await fleet.model("low", LOW)
    plan = root.plan(low.plan(), acceptance=Acceptance(Rule.CASCADE_CHOW, 0.5))
    with pytest.raises(PlanRefused, match="under CASCADE_CHOW an answer cannot be held"):
        await answer(fleet, root, plan, constrained(temperature=1.0, seed=1))


async def two(fleet: Fleet) -> tuple[Replica, Replica]:
    root = await fleet.model("root")
    return root, await fleet.model("twin")
