import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decoding.markov import VOCABULARY, decode, rows, transitions
from tiercel.decoding import (
    RULES,
    Draft,
    Randomness,
    Target,
    Verdict,
    choose,
    distribution,
    verify,
)
from tiercel.errors import ModelFault
from tiercel.types import Acceptance, Rule, SamplingParams

MODEL = transitions(0)
PARAMS = [
    SamplingParams(),
    SamplingParams(temperature=0.8, seed=3),
    SamplingParams(temperature=1.2, top_k=4, top_p=0.9, seed=2**64 - 1),
]


def verify_exact(draft, logits, params, vocabulary, offset) -> Verdict:
    target = Target(logits, params, vocabulary, offset)
    return verify(Acceptance(), Draft(tuple(draft)), target, Randomness(0))


def judge(draft, last, params, offset, model=MODEL) -> Verdict:
    return verify_exact(draft, rows(model, last, draft), params, VOCABULARY, offset)


def speculate(drafts, params, count: int) -> list[int]:
    """Decode with whatever is drafted: `drafts(last, offset)` gives each block."""
    tokens, last, offset = [], 0, 0
    while len(tokens) < count:
        draft = drafts(last, offset)
        verdict = judge(draft, last, params, offset)
        committed = [*draft[: verdict.num_accepted], verdict.next_token]
        tokens += committed
        last, offset = tokens[-1], VOCABULARY.advance(offset, committed)
    return tokens[:count]


def acceptance(draft_params: SamplingParams, params: SamplingParams, shift: int = 0) -> float:
    """Share of a self-draft that is accepted."""
    accepted = judged = 0

    def drafts(last, offset):
        nonlocal accepted, judged
        draft = decode(MODEL, last, draft_params, offset + shift, 4)
        verdict = judge(draft, last, params, offset)
        accepted += verdict.num_accepted
        judged += verdict.num_accepted + verdict.num_rejected
        return draft

    speculate(drafts, params, 400)
    return accepted / judged


@pytest.mark.parametrize("params", PARAMS)
def test_a_draft_from_the_target_itself_is_always_accepted(params):
    assert acceptance(params, params) == 1.0


@pytest.mark.parametrize("params", PARAMS[1:])
def test_a_wrong_seed_or_an_offset_off_by_one_is_seen_in_the_acceptance(params):
    wrong_seed = SamplingParams(params.temperature, params.top_k, params.top_p, seed=17)
    assert acceptance(wrong_seed, params) < 0.9
    assert acceptance(params, params, shift=1) < 0.9


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.sampled_from(PARAMS), st.data())
def test_the_text_is_that_of_plain_decoding_whatever_is_drafted(params, data):
    blocks = st.lists(st.integers(0, 9), max_size=6)  # 8 and 9 are no tokens
    tokens = speculate(lambda last, offset: data.draw(blocks), params, 12)
    assert tokens == decode(MODEL, 0, params, 0, 12)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.sampled_from(PARAMS), st.integers(0, 10**6), st.integers(0, 5), st.integers(1, 7))
def test_a_draft_is_accepted_up_to_its_first_difference(params, offset, place, change):
    plain = decode(MODEL, 2, params, offset, 7)
    draft = plain[:6]
    draft[place] = (draft[place] + change) % 8
    assert judge(draft, 2, params, offset) == Verdict(place, plain[place], num_rejected=1)
    assert judge(plain[:6], 2, params, offset) == Verdict(6, plain[6], num_rejected=0)


def test_an_empty_draft_is_plain_decoding():
    params = PARAMS[1]
    assert judge([], 5, params, 31) == Verdict(0, decode(MODEL, 5, params, 31, 1)[0], 0)


@pytest.mark.parametrize("token_id", [8, -1, 2**32 - 1])
def test_an_id_outside_the_vocabulary_is_never_accepted(token_id):
    # Index -1 would be a real row of an array: the last token, the one that is drawn here.
    logits = np.zeros((2, 8), dtype=np.float32)
    logits[:, 7] = 50.0
    verdict = verify_exact([token_id], logits, PARAMS[0], VOCABULARY, 0)
    assert verdict == Verdict(0, 7, num_rejected=1)


def test_what_follows_a_rejection_is_not_judged_even_when_it_is_nan():
    logits = np.zeros((3, 8), dtype=np.float32)
    logits[0, 4] = 1.0
    logits[1:] = np.nan
    assert verify_exact([1, 1], logits, PARAMS[0], VOCABULARY, 0) == Verdict(0, 4, 1)
    with pytest.raises(ModelFault):
        verify_exact([4, 1], logits, PARAMS[0], VOCABULARY, 0)


@pytest.mark.parametrize("num_rows", [0, 2, 4])
def test_too_few_or_too_many_rows_are_a_fault(num_rows):
    with pytest.raises(ModelFault, match="rows"):
        verify_exact([1, 2], np.zeros((num_rows, 8), dtype=np.float32), PARAMS[0], VOCABULARY, 0)


def test_coupled_draws_agree_about_as_often_as_any_draws_can():
    """At least (1 - TV) / (1 + TV), the bound of arXiv:2408.07978; independent ones do not."""
    params = SamplingParams(temperature=1.0)
    other_seed = SamplingParams(temperature=1.0, seed=1)
    target = MODEL[0]
    drafter = (target + 0.4 * transitions(9)[0]).astype(np.float32)
    distance = (
        0.5 * np.abs(distribution(target, params)[1] - distribution(drafter, params)[1]).sum()
    )
    assert distance > 0.1
    count = 10_000

    def agreement(draft_params: SamplingParams) -> float:
        return (
            sum(
                choose(target, params, VOCABULARY, i)
                == choose(drafter, draft_params, VOCABULARY, i)
                for i in range(count)
            )
            / count
        )

    bound = (1 - distance) / (1 + distance)
    assert bound - 0.02 < agreement(params) < 1 - distance + 0.02
    assert agreement(other_seed) < bound - 0.1


def test_every_rule_has_a_function():
    assert set(RULES) == set(Rule)
