"""What a peer may send that is no draft, and logits that no model may give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decoding.blocks import TREE
from tiercel.decoding import (
    RULES,
    Draft,
    Randomness,
    Target,
    TokenDistribution,
    Vocabulary,
    check_draft,
    draft_distribution,
    verify,
)
from tiercel.errors import InvalidRequest, ModelFault
from tiercel.types import Acceptance, Rule, SamplingParams

NAN, INF = float("nan"), float("inf")
SAMPLED = SamplingParams(temperature=1.0, seed=4)
EVERY = list(Rule)
SIZE = 6
WORDS = Vocabulary.of([bytes([97 + i]) for i in range(SIZE)])
LARGE = 151_936  # no multiple of 8192
LARGE_WORDS = Vocabulary(
    np.arange(1, LARGE + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15),
    np.ones(LARGE, dtype=np.int64),
)


def judge(rule, draft, logits, params=SAMPLED, words=WORDS, key=0, support=0):
    strictness = 1.0 if rule in (Rule.EXACT, Rule.REJECTION, Rule.BLOCK) else 0.4
    target = Target(np.asarray(logits, dtype=np.float32), params, words, support=support)
    return verify(Acceptance(rule, strictness), draft, target, Randomness(key), TREE)


def sent(ids, probs) -> Draft:
    return Draft((ids[0],), distributions=(TokenDistribution.of(ids, probs),))


@pytest.mark.parametrize(
    ("ids", "probs", "field"),
    [
        ([1, 2], [0.5, 0.4], "probs=0.9"),
        ([1, 2], [0.7, 0.7], "probs=1.4"),
        ([1, 2], [0.0, 0.0], "probs=0.0"),
        ([1, 2], [NAN, 1.0], "probs=nan"),
        ([1, 2], [INF, 1.0], "probs=inf"),
        ([1, 2], [1.5, -0.5], "probs="),
        ([1, 2, 2], [0.5, 0.25, 0.25], "token_ids=2"),
        ([2, 1, 2], [0.5, 0.25, 0.25], "token_ids=2"),
        ([1, SIZE], [0.5, 0.5], f"token_ids={SIZE}"),
        ([1, 2**32 - 1], [0.5, 0.5], "token_ids=4294967295"),
        ([1, -1], [0.5, 0.5], "token_ids=-1"),
    ],
)
def test_what_is_no_distribution_is_refused_by_name(ids, probs, field):
    with pytest.raises(InvalidRequest, match=r"^distributions\[0\]") as caught:
        check_draft(sent(ids, probs), SIZE)
    assert field in str(caught.value)
    for rule in EVERY:
        with pytest.raises(InvalidRequest, match=r"^distributions\[0\]"):
            judge(rule, sent(ids, probs), np.zeros((2, SIZE)))


def test_an_empty_distribution_and_a_token_outside_its_own_are_refused():
    with pytest.raises(InvalidRequest, match=r"distributions\[0\].token_ids=\[\]"):
        check_draft(Draft((1,), distributions=(TokenDistribution.of([], []),)), SIZE)
    for probs in ([0.5, 0.5], [1.0, 0.0]):  # 5 is not there; 2 is there with nothing
        token = 5 if probs[1] else 2
        draft = Draft((token,), distributions=(TokenDistribution.of([1, 2], probs),))
        with pytest.raises(InvalidRequest, match="does not hold the draft token"):
            check_draft(draft, SIZE)
    with pytest.raises(InvalidRequest, match="one for each of 2 tokens"):
        TokenDistribution.of([1, 2], [1.0])


@pytest.mark.parametrize("prob", [NAN, -0.1, 1.1, INF])
def test_what_is_no_probability_is_refused_by_name(prob):
    with pytest.raises(InvalidRequest, match=r"^probs\[1\]"):
        check_draft(Draft((1, 2), probs=(0.5, prob)), SIZE)


@pytest.mark.parametrize(
    ("field", "draft"),
    [
        ("probs", Draft((1, 2), probs=(0.5,))),
        ("distributions", Draft((1, 2), distributions=(TokenDistribution.certain(1),))),
        ("token_ids[1]", Draft((1, SIZE))),
        ("token_ids[0]", Draft((-1, 2))),
    ],
)
def test_too_few_or_tokens_outside_are_refused_by_name(field, draft):
    with pytest.raises(InvalidRequest) as caught:
        check_draft(draft, SIZE)
    assert caught.value.field == field


def test_rounding_on_the_way_is_no_lie():
    even = np.full(3, 1 / 3, dtype=np.float16).astype(np.float32)
    check_draft(sent([1, 2, 3], even), SIZE)
    check_draft(Draft((1,), probs=(1.0000001,)), SIZE)
    check_draft(Draft((0, SIZE - 1)), SIZE)
    check_draft(Draft(), SIZE)


@pytest.mark.parametrize("rule", EVERY)
@pytest.mark.parametrize("token_id", [SIZE, -1, 2**32 - 1])
def test_a_bare_id_outside_the_vocabulary_never_stands(rule, token_id):
    logits = np.zeros((2, SIZE))
    logits[:, -1] = 9.0  # index -1 would be this one
    for params in (SAMPLED, SamplingParams()):
        verdict = judge(rule, Draft((token_id,)), logits, params)
        assert verdict.num_accepted == 0
        assert 0 <= verdict.next_token < SIZE


@pytest.mark.parametrize("rule", EVERY)
@pytest.mark.parametrize("params", [SAMPLED, SamplingParams()])
@pytest.mark.parametrize("row", [[NAN, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, NAN], [-INF] * SIZE])
def test_logits_that_no_model_may_give_are_a_fault(rule, params, row):
    with pytest.raises(ModelFault):
        judge(rule, Draft((5,)), [row, row], params)
    with pytest.raises(ModelFault):
        judge(rule, Draft(), [row], params)


@pytest.mark.parametrize("rule", EVERY)
@pytest.mark.parametrize("params", [SAMPLED, SamplingParams()])
def test_infinite_logits_are_certain_or_impossible(rule, params):
    certain = [[0, INF, 0, 0, 0, INF]] * 2
    verdict = judge(rule, Draft((1,)), certain, params)
    assert (verdict.num_accepted, verdict.next_token in (1, None)) == (1, True)
    masked = [[-INF, -INF, 0, -INF, -INF, -INF]] * 2
    for token_id in (0, 5):
        verdict = judge(rule, Draft((token_id,), probs=(1.0,)), masked, params)
        assert (verdict.num_accepted, verdict.next_token) == (0, 2)


@pytest.mark.parametrize("rule", EVERY)
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_too_few_or_too_many_rows_are_a_fault(rule, rows):
    with pytest.raises(ModelFault, match="rows"):
        judge(rule, Draft((1,)), np.zeros((rows, SIZE)))
    with pytest.raises(ModelFault, match="vocabulary"):
        judge(rule, Draft((1,)), np.zeros((2, SIZE + 1)))


@pytest.mark.parametrize("rule", EVERY)
@pytest.mark.parametrize("params", [SAMPLED, SamplingParams()])
def test_no_draft_at_all_gives_one_token(rule, params):
    logits = np.arange(SIZE)[None]
    verdict = judge(rule, Draft(), logits, params)
    assert (verdict.num_accepted, verdict.num_rejected) == (0, 0)
    if rule not in (Rule.REJECTION, Rule.BLOCK) or params.temperature == 0:
        assert verdict.next_token == judge(Rule.EXACT, Draft(), logits, params).next_token


@pytest.mark.parametrize("rule", EVERY)
@settings(deadline=None, derandomize=True, max_examples=8)
@given(st.data())
def test_every_token_lies_in_a_large_vocabulary_at_its_edges_too(rule, data):
    edges = st.sampled_from([0, 1, 8191, 8192, LARGE - 8192, LARGE - 2, LARGE - 1])
    tokens = data.draw(st.lists(edges, min_size=1, max_size=3))
    key = data.draw(st.integers(0, 2**64 - 1))
    logits = np.full((len(tokens) + 1, LARGE), -30, dtype=np.float32)
    for row in logits:
        row[data.draw(st.lists(edges, min_size=1, max_size=4))] = 0
    small = np.full((len(tokens), LARGE), -30, dtype=np.float32)
    for row, token_id in zip(small, tokens, strict=True):
        row[[token_id, LARGE - 1, 0]] = 0
    sent = tuple(draft_distribution(row, SAMPLED) for row in small)
    draft = Draft(tuple(tokens), probs=(0.3,) * len(tokens), distributions=sent)
    verdict = judge(rule, draft, logits, words=LARGE_WORDS, key=key)
    committed = verdict.committed(draft.token_ids)
    assert len(committed) == verdict.num_accepted + (verdict.next_token is not None)
    if verdict.next_token is not None:
        assert logits[verdict.num_accepted][verdict.next_token] == 0  # it can be said at all


def test_every_rule_is_in_the_table():
    assert set(RULES) == set(Rule)
