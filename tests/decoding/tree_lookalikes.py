"""Mistakes with trees of drafts that look right; `TREE_BIAS` says how far off each is at least."""

from collections.abc import Callable, Sequence

from tests.decoding.chains import Tokens, judge, leaf, model
from tests.decoding.enumeration import Numbers, outcomes
from tests.decoding.trees import Several, decode_trees, together
from tiercel.decoding import Draft, Target, Verdict
from tiercel.decoding.speculative import scaled_rest
from tiercel.types import Rule

TRUTH = model(12, 4, scale=1.5)
NEAR, FAR = (leaf(model(seed, 4, scale=1.5)) for seed in (113, 214))


def tokens_by(rules: Several, drafters=(NEAR, FAR), **how) -> dict[Tokens, float]:
    program = decode_trees(TRUTH, drafters, rules, lengths=(1, 1), count=1, **how)
    return outcomes(program)


def one_place(
    drafts: Sequence[Draft],
    held: Sequence[Target],
    numbers: Numbers,
    left_after=lambda left, tried, first: scaled_rest(left, tried.distribution(0), 1.0),
    ratio=lambda left, after, tried: left.prob(tried.token_ids[0]) / tried.prob_drawn(0),
) -> tuple[int, Verdict]:
    """Drafts of one token, with the two formulas left open."""
    left = after = held[0].distribution(0)
    for number, tried in enumerate(drafts):
        if numbers.coin(number, ratio(left, after, tried)):
            return number, Verdict(1, numbers.run(0).draw(0, held[number].distribution(1)), 0)
        left = left_after(left, tried, drafts[0])
    return 0, Verdict(0, numbers.run(0).draw(0, left), 1)


def the_formulas() -> dict[Tokens, float]:
    return tokens_by(one_place)


def the_second_is_tried_against_all_of_the_target() -> dict[Tokens, float]:
    def ratio(left, after, tried):
        return after.prob(tried.token_ids[0]) / tried.prob_drawn(0)

    return tokens_by(lambda *given: one_place(*given, ratio=ratio))


def the_first_takes_nothing_away() -> dict[Tokens, float]:
    """Each sibling, and what is recovered, are held against the target as it was."""
    return tokens_by(lambda *given: one_place(*given, left_after=lambda left, *_: left))


def the_second_takes_away_what_the_first_would() -> dict[Tokens, float]:
    def left_after(left, tried, first):
        return scaled_rest(left, first.distribution(0), 1.0)

    return tokens_by(lambda *given: one_place(*given, left_after=left_after))


def a_token_said_twice_is_tried_twice() -> dict[Tokens, float]:
    """A duplicate is held against the target as it was, as if it were another chance."""

    def rules(drafts, held, numbers):
        said = drafts[0].token_ids[0]

        def ratio(left, after, tried):
            whole = after if tried is not drafts[0] and tried.token_ids[0] == said else left
            return whole.prob(tried.token_ids[0]) / tried.prob_drawn(0)

        return one_place(drafts, held, numbers, ratio=ratio)

    return tokens_by(rules)


def a_token_said_twice_is_tried_once() -> dict[Tokens, float]:
    """A duplicate is left out, and takes nothing away."""

    def rules(drafts, held, numbers):
        is_same = drafts[0].token_ids == drafts[1].token_ids
        return together(drafts[:1] if is_same else drafts, held[:1] if is_same else held, numbers)

    return tokens_by(rules)


def a_draft_is_taken_if_it_adds_no_token() -> dict[Tokens, float]:
    """What a further draft costs depends on what was drawn: so does whether it is judged."""

    def rules(drafts, held, numbers):
        is_same = drafts[0].token_ids == drafts[1].token_ids
        return together(drafts if is_same else drafts[:1], held if is_same else held[:1], numbers)

    return tokens_by(rules)


def the_likelier_one_is_tried_first() -> dict[Tokens, float]:
    def rules(drafts, held, numbers):
        after = held[0].distribution(0)
        ordered = sorted(drafts, key=lambda draft: -after.prob(draft.token_ids[0]))
        number, verdict = together(ordered, held, numbers)
        return drafts.index(ordered[number]), verdict

    return tokens_by(rules)


def each_is_judged_alone_and_the_furthest_is_taken() -> dict[Tokens, float]:
    def rules(drafts, held, numbers):
        verdicts = [
            judge(Rule.REJECTION)(draft, target, numbers)
            for draft, target in zip(drafts, held, strict=True)
        ]
        number = max(range(len(drafts)), key=lambda place: verdicts[place].num_accepted)
        return number, verdicts[number]

    return tokens_by(rules)


def two_that_are_certain_are_judged_alone() -> dict[Tokens, float]:
    """The same, of drafters that say nothing of how they drew: each token is a matter of course."""

    def silent(drafter):
        return lambda *given: Draft(drafter(*given).token_ids)

    def rules(drafts, held, numbers):
        verdicts = [judge(Rule.REJECTION)(draft, held[0], numbers) for draft in drafts]
        number = max(range(len(drafts)), key=lambda place: verdicts[place].num_accepted)
        return number, verdicts[number]

    return tokens_by(rules, (silent(FAR), silent(NEAR)))


def both_drafters_draw_with_the_same_numbers() -> dict[Tokens, float]:
    return tokens_by(together, (NEAR, NEAR), names=("one", "one"))


TREE_BIAS: dict[Callable[[], dict[Tokens, float]], float] = {
    the_second_is_tried_against_all_of_the_target: 0.015,
    the_first_takes_nothing_away: 0.015,
    the_second_takes_away_what_the_first_would: 0.015,
    a_token_said_twice_is_tried_twice: 0.015,
    a_token_said_twice_is_tried_once: 0.015,
    a_draft_is_taken_if_it_adds_no_token: 0.015,
    the_likelier_one_is_tried_first: 0.015,
    each_is_judged_alone_and_the_furthest_is_taken: 0.015,
    two_that_are_certain_are_judged_alone: 0.015,
    both_drafters_draw_with_the_same_numbers: 0.015,
}
