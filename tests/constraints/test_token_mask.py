"""A mask is a function of the tokens before it, and lets through what matches and nothing else."""

import json
import random
import re

import jsonschema
import numpy as np
import pytest
from llguidance import LLParserLimits

from tests.tiny_model import tiny_gguf
from tiercel.constraints import Grammars, TokenMask
from tiercel.errors import InvalidRequest
from tiercel.models.resolve import resolve
from tiercel.tokenizer import Tokenizer
from tiercel.types import Constraint, ConstraintForm

JSON, REGEX, LARK = ConstraintForm.JSON_SCHEMA, ConstraintForm.REGEX, ConstraintForm.LARK_GRAMMAR
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
CONSTRAINTS = [
    Constraint(JSON, json.dumps(PERSON)),
    Constraint(REGEX, r"(the|other) [a-z]{1,5}-\d{2,4}!?"),
    Constraint(LARK, 'start: "(" sum ")"\nsum: NUMBER ("+" NUMBER)~1..3\nNUMBER: /[0-9]{1,3}/'),
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return resolve(str(tiny_gguf(tmp_path_factory.mktemp("model")))).read_tokenizer()


@pytest.fixture
def grammars(tokenizer: Tokenizer):
    grammars = Grammars(tokenizer, tokenizer.vocab_size + 3)  # a model pads its vocabulary
    yield grammars
    grammars.close()


def said(mask: TokenMask, choose: random.Random) -> list[int]:
    """Say something at random that is allowed, up to the token that ends it."""
    answer: list[int] = []
    while not (answer and answer[-1] in (0, 2)):
        assert len(answer) < 1000, "an answer without end"
        row = mask.masked(np.zeros((1, 272), np.float32), answer, ())[0]
        answer.append(choose.choice(np.flatnonzero(row == 0).tolist()))
    return answer


def matches(constraint: Constraint, text: str) -> bool:
    if constraint.form is JSON:
        jsonschema.validate(json.loads(text), json.loads(constraint.text))
        return True
    pattern = constraint.text if constraint.form is REGEX else r"\(\d{1,3}(\+\d{1,3}){1,3}\)"
    return re.fullmatch(pattern, text) is not None


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda one: one.form.value)
async def test_whatever_is_allowed_matches(grammars, tokenizer, constraint: Constraint):
    for seed in range(10):
        mask = await grammars.mask(constraint)
        answer = said(mask, random.Random(seed))
        assert matches(constraint, tokenizer.decode(answer[:-1]))
        assert mask.follows(answer) and mask.follows(answer[:-1])


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda one: one.form.value)
async def test_it_is_a_function_of_the_tokens_before(grammars, constraint: Constraint):
    """Asked here and there, forwards and backwards, one mask says what fresh ones say."""
    choose = random.Random(4)
    mask = await grammars.mask(constraint)
    answers = [said(mask, choose)[:-1] for _ in range(3)]
    for _ in range(60):
        answer = choose.choice(answers)
        start = choose.randint(0, len(answer))
        draft = answer[start : start + choose.randint(0, 6)]
        if draft and choose.random() < 0.5:
            draft[-1] = choose.randint(0, 268)
        fresh = await grammars.mask(constraint)
        logits = np.random.default_rng(1).normal(size=(len(draft) + 1, 272)).astype(np.float32)
        row_by_row = logits.copy()
        for place in range(len(draft) + 1):
            if not fresh.follows([*answer[:start], *draft[:place]]) or {0, 2} & {*draft[:place]}:
                break
            row = fresh.masked(logits[place : place + 1], [*answer[:start], *draft[:place]], ())
            row_by_row[place] = row[0]
        masked = mask.masked(logits, answer[:start], draft)
        assert np.array_equal(masked, row_by_row)


async def test_ends_are_allowed_only_once_it_is_complete(grammars, tokenizer):
    mask = await grammars.mask(Constraint(REGEX, "ab?"))
    a, b = tokenizer.encode("a") + tokenizer.encode("b")

    def allowed(*answer: int) -> set[int]:
        row = mask.masked(np.zeros((1, 272), np.float32), answer, ())[0]
        return set(np.flatnonzero(row == 0).tolist())

    assert allowed() == {a}
    assert allowed(a) == {b, *tokenizer.eos_ids}
    assert allowed(a, b) == tokenizer.eos_ids
    assert mask.follows([a, 2]) and not mask.follows([2]) and not mask.follows([a, 2, b])


async def test_rows_that_come_to_nothing_are_left_alone(grammars, tokenizer):
    mask = await grammars.mask(Constraint(REGEX, "ab?"))
    a, b = tokenizer.encode("a") + tokenizer.encode("b")
    logits = np.zeros((4, 272), np.float32)
    for draft in ([a, a, b], [a, 2, b], [a, 271, b], [a, 1, b]):
        masked = mask.masked(logits, (), draft)
        assert np.isneginf(masked[:2]).any(axis=1).all() and not masked[2:].any()
    assert not mask.masked(logits, (b,), (a, a, a)).any()
    assert not logits.any(), "the model's own rows are not to be touched"


async def test_a_dead_end_counts_where_the_answer_goes_there(grammars, tokenizer):
    """Behind "a" only a special token may come, and that is never text."""
    mask = await grammars.mask(Constraint(LARK, 'start: "a" <|im_start|> | "b" "c"'))
    a, b, c = (tokenizer.encode(text)[0] for text in "abc")
    logits = np.zeros((3, 272), np.float32)
    rows = mask.masked(logits, (), (a, c))
    assert set(np.flatnonzero(rows[0] == 0).tolist()) == {a, b}
    mask.check_accepted(0)
    for num_accepted in (1, 2):
        with pytest.raises(InvalidRequest, match="no token of the model's vocabulary may follow"):
            mask.check_accepted(num_accepted)
    with pytest.raises(InvalidRequest, match="no token of the model's vocabulary may follow"):
        mask.masked(logits[:1], (a,), ())
    assert set(np.flatnonzero(mask.masked(logits[:1], (b,), ())[0] == 0).tolist()) == {c}
    mask.check_accepted(2)


@pytest.mark.parametrize(
    ("form", "text", "why"),
    [
        (JSON, "{", "constraint.json_schema='{'"),
        (JSON, '{"type": "objekt"}', "Invalid type: objekt"),
        (JSON, '{"type": "string", "pattern": "("}', "regex parse error"),
        (JSON, '{"$ref": "https://nowhere.invalid/x"}', "does not fetch"),
        (JSON, '{"type": "integer", "minimum": 3, "maximum": 2}', "constraint.json_schema="),
        (JSON, '{"type": "array", "uniqueItems": true}', "uniqueItems"),
        (REGEX, "(", "constraint.regex='(': at 1(8): invalid regex"),
        (REGEX, "(?=a)b", "look-around"),
        (LARK, "", "Empty grammar"),
        (LARK, 'start: "a" other', "unknown name"),
        (LARK, "start: start", "no token of the model's vocabulary may follow"),
        (LARK, "start: <|im_start|>", "no token of the model's vocabulary may follow"),
    ],
)
async def test_a_bad_grammar_is_named(grammars, form: ConstraintForm, text: str, why: str):
    with pytest.raises(InvalidRequest) as refused:
        await grammars.mask(Constraint(form, text))
    assert refused.value.field == f"constraint.{form.value}"
    assert why in str(refused.value) and "\n" not in str(refused.value)


async def test_a_grammar_that_is_too_dear_ends_the_answer_that_asked(grammars, monkeypatch):
    limits = LLParserLimits(max_lexer_states=100)
    monkeypatch.setattr("tiercel.constraints.grammars._LIMITS", limits)
    mask = await grammars.mask(Constraint(REGEX, "([a-z]{0,9}[ab]){50}"))
    with pytest.raises(InvalidRequest, match=r"constraint.regex=.*too many"):
        said(mask, random.Random(2))
    monkeypatch.undo()
    assert said(await grammars.mask(CONSTRAINTS[0]), random.Random(1))


async def test_grammars_are_compiled_once_and_the_oldest_forgotten(grammars, monkeypatch):
    compiled, compile_one = [], Grammars._compile

    def noted(self, constraint):
        compiled.append(constraint.text)
        return compile_one(self, constraint)

    monkeypatch.setattr(Grammars, "_compile", noted)
    for _ in range(3):
        await grammars.mask(CONSTRAINTS[0])
    assert len(compiled) == 1
    for number in range(40):
        await grammars.mask(Constraint(REGEX, f"a{{{number + 1}}}"))
    assert len(grammars._compiled) == 32
    await grammars.mask(CONSTRAINTS[0])
    assert len(compiled) == 42
