"""REJECTION and BLOCK keep the target's distribution exactly, alone and in chains."""

import numpy as np
import pytest

from tests.decoding.chains import (
    SAMPLED,
    decode,
    judge,
    law,
    leaf,
    middle,
    model,
    target,
)
from tests.decoding.enumeration import outcomes, variation
from tiercel.decoding import Draft
from tiercel.types import Rule, SamplingParams

EXACT = 1e-12
RULES = [Rule.REJECTION, Rule.BLOCK]
PARAMS = [SAMPLED, SamplingParams(temperature=0.5), SamplingParams(temperature=2.0, top_k=2)]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("size", "length", "count"), [(4, 1, 2), (3, 2, 2), (2, 2, 3)])
def test_tokens_follow_the_target_whatever_came_before(rule, seed, size, length, count):
    truth, drafter = model(seed, size), leaf(model(seed + 100, size))
    found = outcomes(decode(truth, drafter, judge(rule), length, count))
    assert sum(found.values()) == pytest.approx(1, abs=EXACT)
    assert variation(found, law(truth, count)) < EXACT


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("params", PARAMS)
def test_temperature_and_truncation_of_the_target_are_kept(rule, params):
    truth = model(3)

    def program(chances):
        draft = leaf(model(4))(0, 2, chances.numbers("draft"))
        verdict = judge(rule)(draft, target(truth, 0, draft.token_ids, params), chances.numbers())
        return verdict.committed(draft.token_ids)[0]

    first = {(token,): prob for token, prob in outcomes(program).items()}
    assert variation(first, law(truth, 1, params)) < EXACT


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("support", [1, 2])
def test_a_drafter_that_draws_from_the_little_it_sends_changes_nothing(rule, support):
    truth = model(5)
    found = outcomes(decode(truth, leaf(model(6), support=support), judge(rule), 2, 2))
    assert variation(found, law(truth, 2)) < EXACT


@pytest.mark.parametrize("rule", RULES)
def test_a_draft_of_which_nothing_is_known_changes_nothing(rule):
    """Whatever drew it: here a model that keeps its distributions to itself."""
    truth, silent = model(7, 2), leaf(model(8, 2))

    def drafter(last, most, numbers):
        return Draft(silent(last, most, numbers).token_ids)

    for reuses in (False, True):
        found = outcomes(decode(truth, drafter, judge(rule), 2, 3, reuses))
        assert variation(found, law(truth, 3)) < EXACT


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("inner", RULES)
@pytest.mark.parametrize("support", [2, 3])
def test_three_levels_follow_the_root(rule, inner, support):
    truth = model(9)
    chain = middle(model(10), leaf(model(11), support=support), inner, support)
    found = outcomes(decode(truth, chain, judge(rule), 2, 2))
    assert variation(found, law(truth, 2)) < EXACT


def test_a_chain_of_three_over_three_positions():
    truth = model(12, size=2)
    chain = middle(model(13, size=2), leaf(model(14, size=2)), Rule.BLOCK, 2)
    found = outcomes(decode(truth, chain, judge(Rule.BLOCK), 2, 3))
    assert variation(found, law(truth, 3)) < EXACT


@pytest.mark.parametrize("rule", RULES)
def test_the_target_itself_is_always_accepted(rule):
    truth = model(15)

    def program(chances):
        draft = leaf(truth)(0, 3, chances.numbers("draft"))
        return judge(rule)(draft, target(truth, 0, draft.token_ids), chances.numbers()).num_accepted

    assert outcomes(program)[3] == pytest.approx(1, abs=1e-6)  # what it sends is rounded


def mean_accepted(rule, seed, length) -> float:
    truth, drafter = model(seed), leaf(model(seed + 50))

    def program(chances):
        draft = drafter(0, length, chances.numbers("draft"))
        return judge(rule)(draft, target(truth, 0, draft.token_ids), chances.numbers()).num_accepted

    return sum(count * prob for count, prob in outcomes(program).items())


def test_rejection_accepts_what_the_two_distributions_share():
    for seed in range(10):
        ours, theirs = law(model(seed), 1), law(model(seed + 50), 1)
        shared = 1 - variation(ours, theirs)
        assert mean_accepted(Rule.REJECTION, seed, 1) == pytest.approx(shared, abs=1e-6)
        assert mean_accepted(Rule.BLOCK, seed, 1) == pytest.approx(shared, abs=1e-6)


def test_blocks_accept_never_fewer_and_mostly_more():
    gains = np.array(
        [
            mean_accepted(Rule.BLOCK, seed, 3) - mean_accepted(Rule.REJECTION, seed, 3)
            for seed in range(9)
        ]
    )
    assert (gains > -EXACT).all()
    assert (gains > 1e-3).sum() > 4


@pytest.mark.parametrize("rule", RULES)
def test_at_temperature_zero_the_best_token_stands_alone(rule):
    truth, greedy = model(16), SamplingParams()

    def program(chances):
        draft = leaf(model(17))(0, 2, chances.numbers("draft"))
        held = target(truth, 0, draft.token_ids, greedy)
        return judge(rule)(draft, held, chances.numbers()).committed(draft.token_ids)

    for tokens in outcomes(program):
        for last, token in zip((0, *tokens), tokens, strict=False):
            assert token == truth[last].argmax()


@pytest.mark.parametrize("rule", RULES)
def test_nothing_is_compared_with_plain_decoding(rule):
    def program(chances):
        draft = leaf(model(17))(0, 2, chances.numbers("draft"))
        verdict = judge(rule)(draft, target(model(16), 0, draft.token_ids), chances.numbers())
        return verdict.num_compared, verdict.divergences

    assert set(outcomes(program)) == {(0, ())}
