"""Mistakes that look right: the errors of systems in use, in the programs that hold the rules.

`BIAS` says how far off each is with these models, at the least. A few that are right stand beside.
"""

from collections.abc import Callable

import numpy as np

from tests.decoding.chains import (
    SAMPLED,
    Drafter,
    Judge,
    Tokens,
    decode,
    judge,
    leaf,
    middle,
    model,
    target,
)
from tests.decoding.enumeration import Chances, Numbers, outcomes
from tiercel.decoding import Draft, Target, TokenDistribution, Verdict, draft_distribution
from tiercel.decoding.distributions import excess
from tiercel.types import Rule

TRUTH, SMALL, LEAST = model(9, scale=1.5), model(10, scale=1.5), model(11, scale=1.5)
Control = Callable[[], dict[Tokens, float]]


def tokens_by(drafter: Drafter, rules: Judge, reuses: bool = False) -> dict[Tokens, float]:
    return outcomes(decode(TRUTH, drafter, rules, 2, 2, reuses))


def in_turn(draft: Draft, held: Target, numbers: Numbers, ratio, rest) -> Verdict:
    """Speculative sampling with its two formulas left open."""
    for index in range(len(draft)):
        after = held.distribution(index)
        if not numbers.coin(index, ratio(after, draft, index)):
            recovered = numbers.draw(len(draft), rest(after, draft, index))
            return Verdict(index, recovered, 1)
    return Verdict(len(draft), numbers.draw(len(draft), held.distribution(len(draft))), 0)


def true_ratio(after, draft, index):
    return after.prob(draft.token_ids[index]) / draft.prob_drawn(index)


def true_rest(after, draft, index):
    return TokenDistribution(after.token_ids, excess(after, draft.distribution(index))[0])


def best_of(distribution: TokenDistribution, count: int) -> TokenDistribution:
    kept = np.sort(np.argsort(distribution.shares)[-count:])
    return TokenDistribution(distribution.token_ids[kept], distribution.shares[kept])


def nothing_wrong() -> dict[Tokens, float]:
    def rules(draft, held, numbers):
        return in_turn(draft, held, numbers, true_ratio, true_rest)

    return tokens_by(leaf(SMALL), rules)


def the_rest_knows_the_best_draft_tokens_only() -> dict[Tokens, float]:
    """Drawn from all of the draft's distribution, of which the best tokens alone are sent."""

    def rest(after, draft, index):
        known = draft.distribution(index)
        left = after.shares.copy()
        for token in best_of(known, 1).token_ids:
            left[after.token_ids == token] -= known.prob(int(token))
        return TokenDistribution(after.token_ids, np.maximum(left, 0))

    return tokens_by(leaf(SMALL), lambda d, h, n: in_turn(d, h, n, true_ratio, rest))


def a_rejected_token_is_drawn_again_from_the_target() -> dict[Tokens, float]:
    """Only the draft token's own probability is known, so the rest is not."""
    return tokens_by(
        leaf(SMALL), lambda d, h, n: in_turn(d, h, n, true_ratio, lambda after, *_: after)
    )


def an_unlikely_token_is_dropped_after_it_was_drawn() -> dict[Tokens, float]:
    """A drafter ends its block before a token that it is not sure of."""

    def drafter(last, most, numbers):
        draft = leaf(SMALL)(last, most, numbers)
        unsure = [i for i in range(len(draft)) if draft.prob_drawn(i) < 0.3]
        return draft.part(0, unsure[0]) if unsure else draft

    return tokens_by(drafter, judge(Rule.REJECTION))


def a_block_that_ends_before_an_unsure_place() -> dict[Tokens, float]:
    """The same, decided before anything is drawn there: that is right."""

    def drafter(last, most, numbers):
        draft = leaf(SMALL)(last, most, numbers)
        assert draft.distributions is not None
        sure = [d.shares.max() > 0.5 for d in draft.distributions]
        return draft.part(0, sure.index(False)) if False in sure else draft

    return tokens_by(drafter, judge(Rule.REJECTION))


def siblings_are_judged_as_if_each_were_alone() -> dict[Tokens, float]:
    """Two tokens for one place; the second is tried against all of the target, as the first was."""
    return outcomes(lambda chances: _siblings(chances, lessens=False))


def siblings_are_judged_one_after_the_other() -> dict[Tokens, float]:
    """The same, the second tried against what the first one left of the target: that is right."""
    return outcomes(lambda chances: _siblings(chances, lessens=True))


def _siblings(chances: Chances, lessens: bool) -> Tokens:
    drawn, after = draft_distribution(SMALL[0], SAMPLED), target(TRUTH, 0, ()).distribution(0)
    for sibling in range(2):
        token = chances.numbers("draft").draw(sibling, drawn)
        if chances.numbers("coin").coin(sibling, after.prob(token) / drawn.prob(token)):
            return (token,)
        left = TokenDistribution(after.token_ids, excess(after, drawn)[0])
        after = left if lessens else after
    return (chances.numbers("rest").draw(0, left),)


def of_two_paths_the_longer_one_is_taken() -> dict[Tokens, float]:
    def program(chances: Chances) -> Tokens:
        tokens: Tokens = ()
        while len(tokens) < 2:
            last, found = tokens[-1] if tokens else 0, []
            for path in range(2):
                draft = leaf(SMALL)(last, 1, chances.numbers("draft", len(tokens), path))
                held = target(TRUTH, last, draft.token_ids)
                numbers = chances.numbers("verdict", len(tokens), path)
                verdict = judge(Rule.REJECTION)(draft, held, numbers)
                found.append(verdict.committed(draft.token_ids))
            tokens += max(found, key=len)
        return tokens[:2]

    return outcomes(program)


def the_best_token_is_drafted_and_a_draw_is_claimed() -> dict[Tokens, float]:
    def drafter(last, most, numbers):
        tokens, sent = [], []
        for _ in range(most):
            sent.append(draft_distribution(SMALL[last], SAMPLED))
            last = int(SMALL[last].argmax())
            tokens.append(last)
        return Draft(tuple(tokens), distributions=tuple(sent))

    return tokens_by(drafter, judge(Rule.REJECTION))


def the_first_token_is_not_judged() -> dict[Tokens, float]:
    def ratio(after, draft, index):
        return true_ratio(after, draft, index) if index else 1.0

    return tokens_by(leaf(SMALL), lambda d, h, n: in_turn(d, h, n, ratio, true_rest))


MIXED_UP = middle(SMALL, leaf(LEAST), Rule.REJECTION, 2, judged_support=3)


def the_middle_judges_by_more_than_it_sends() -> dict[Tokens, float]:
    """Against its full distribution, while what it sends up is the truncated one."""

    def ratio(after, draft, index):
        holds = draft.distribution(index).prob(draft.token_ids[index]) > 0
        return true_ratio(after, draft, index) if holds else 1.0

    return tokens_by(MIXED_UP, lambda d, h, n: in_turn(d, h, n, ratio, true_rest))


def the_middle_draws_what_it_does_not_send() -> dict[Tokens, float]:
    """What it judges by and sends is unrounded, and rounded: the least of these errors."""
    return tokens_by(
        middle(SMALL, leaf(LEAST), Rule.REJECTION, 3, judged_support=0), judge(Rule.REJECTION)
    )


def a_block_is_drafted_again_with_the_same_numbers() -> dict[Tokens, float]:
    return tokens_by(leaf(SMALL), judge(Rule.BLOCK), reuses=True)


def every_verdict_throws_the_same_coins() -> dict[Tokens, float]:
    def program(chances: Chances) -> Tokens:
        def rules(draft, held, numbers):
            return judge(Rule.REJECTION)(draft, held, chances.numbers("verdict"))

        return decode(TRUTH, leaf(SMALL), rules, 2, 2)(chances)

    return outcomes(program)


def a_tier_draws_with_the_numbers_of_its_parent() -> dict[Tokens, float]:
    def program(chances: Chances) -> Tokens:
        draft = leaf(SMALL)(0, 2, chances.numbers("one"))
        held = target(TRUTH, 0, draft.token_ids)
        return judge(Rule.REJECTION)(draft, held, chances.numbers("one")).committed(
            draft.token_ids
        )[:1]

    return outcomes(program)


BIAS: dict[Control, float] = {
    the_rest_knows_the_best_draft_tokens_only: 0.01,
    a_rejected_token_is_drawn_again_from_the_target: 0.03,
    an_unlikely_token_is_dropped_after_it_was_drawn: 0.03,
    siblings_are_judged_as_if_each_were_alone: 0.03,
    of_two_paths_the_longer_one_is_taken: 0.03,
    the_best_token_is_drafted_and_a_draw_is_claimed: 0.03,
    the_first_token_is_not_judged: 0.1,
    the_middle_judges_by_more_than_it_sends: 0.01,
    the_middle_draws_what_it_does_not_send: 1e-10,
    a_block_is_drafted_again_with_the_same_numbers: 1e-3,
    every_verdict_throws_the_same_coins: 0.01,
    a_tier_draws_with_the_numbers_of_its_parent: 0.03,
}
