"""Each way of joining two models, against the same method token by token, without caches."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fusion.hashed_model import VOCAB_SIZE, HashedModel
from tiercel.evaluation.fusion.methods import (
    Fused,
    Method,
    Question,
    Replaces,
    averaged,
    collaborative,
    draft_alone,
    paper_rule,
    target_alone,
    turned_roles,
)
from tiercel.evaluation.fusion.reading import run

DRAFT, TARGET, END = 1, 2, 0


def questions(count: int, max_new_tokens: int = 24) -> list[Question]:
    drawn = np.random.default_rng(count).integers(1, VOCAB_SIZE, (count, 5)).tolist()
    return [Question(tuple(ids), max_new_tokens, frozenset({END})) for ids in drawn]


def answers(
    method: Method, asked: Sequence[Question], *, batch: int = 4, seeds: tuple[int, int] = (1, 2)
) -> list[Fused]:
    models = [HashedModel(seed) for seed in seeds]
    works = ((at, method(one, *models)) for at, one in enumerate(asked))
    found = dict(run(works, batch))
    assert all(cache.closed for model in models for cache in model.caches)
    return [found[at] for at in range(len(asked))]


def probabilities(seed: int, prefix: Sequence[int]) -> np.ndarray:
    weights = np.exp(HashedModel(seed).row(prefix).astype(np.float64))
    return weights / weights.sum()


def token_by_token(question: Question, replaces: Replaces) -> tuple[int, ...]:
    """CoSD with nothing drafted ahead: the rule looks at one position at a time."""
    answer: list[int] = []
    while not question.is_over(answer):
        prefix = [*question.prompt_ids, *answer]
        draft, target = probabilities(DRAFT, prefix), probabilities(TARGET, prefix)
        token, own = int(draft.argmax()), int(target.argmax())
        stands_in = replaces(float(draft[token]), float(target[own]), own == token)
        answer.append(own if stands_in else token)
    return tuple(answer)


@settings(max_examples=30, deadline=None)
@given(
    alpha=st.floats(0, 1),
    beta=st.floats(0, 2),
    num_speculative_tokens=st.integers(1, 7),
    batch=st.integers(1, 5),
)
def test_blocks_change_nothing_of_what_the_rule_says(
    alpha: float, beta: float, num_speculative_tokens: int, batch: int
):
    rule, asked = paper_rule(alpha, beta), questions(5)
    found = answers(collaborative(rule, num_speculative_tokens), asked, batch=batch)
    assert [one.token_ids for one in found] == [token_by_token(one, rule) for one in asked]


@pytest.mark.parametrize("block", [1, 4])
def test_a_rule_that_never_replaces_leaves_the_draft_and_one_that_always_does_the_target(block):
    asked = questions(6)
    never = answers(collaborative(lambda *_: False, block), asked)
    always = answers(collaborative(lambda draft, target, equal: not equal, block), asked)
    alone = answers(draft_alone, asked), answers(target_alone, asked)
    assert [one.token_ids for one in never] == [one.token_ids for one in alone[0]]
    assert [one.token_ids for one in always] == [one.token_ids for one in alone[1]]
    assert alone[0] != alone[1]
    assert sum(one.num_replaced for one in never) == 0 < sum(one.num_replaced for one in always)


def test_a_model_with_itself_replaces_nothing():
    found = answers(collaborative(paper_rule(1.0, 0.0), 4), questions(6), seeds=(1, 1))
    assert sum(one.num_replaced + one.num_dropped for one in found) == 0
    alone = answers(draft_alone, questions(6))
    assert [one.token_ids for one in found] == [one.token_ids for one in alone]


def released_code(draft_prob: float, target_prob: float, equal: bool) -> bool:
    """The look-alike: what the paper's own code does with a token that both models choose."""
    return equal or not (draft_prob > 0.5 * target_prob and target_prob < 0.5)


def test_the_released_code_would_replace_what_both_models_say():
    found = answers(collaborative(released_code, 4), questions(6), seeds=(1, 1))
    assert sum(one.num_replaced for one in found) > 0


@pytest.mark.parametrize(
    ("draft_prob", "target_prob", "equal", "replaces"),
    [
        (0.4, 0.3, False, True),
        (0.4, 0.3, True, False),  # nothing to replace
        (0.5, 0.9, False, False),  # the draft model is sure
        (0.4, 0.2, False, False),  # the target is no surer than half of it
        (0.49, 0.25, False, True),
    ],
)
def test_the_rule_of_the_paper(draft_prob, target_prob, equal, replaces):
    assert paper_rule()(draft_prob, target_prob, equal) is replaces


def test_a_turned_method_is_the_method_of_the_turned_models():
    method, asked = collaborative(paper_rule(), 3), questions(5)
    assert without_time(answers(turned_roles(method), asked)) == without_time(
        answers(method, asked, seeds=(2, 1))
    )


def without_time(found: list[Fused]) -> list[Fused]:
    return [replace(one, seconds=0.0) for one in found]


def test_the_average_is_of_probabilities():
    asked = questions(4)
    found = answers(averaged, asked)
    for question, one in zip(asked, found, strict=True):
        prefix = list(question.prompt_ids)
        for token in one.token_ids:
            mean = probabilities(DRAFT, prefix) + probabilities(TARGET, prefix)
            assert token == int(mean.argmax())
            prefix.append(token)
    both = answers(draft_alone, asked), answers(target_alone, asked)
    assert all([one.token_ids for one in found] != [one.token_ids for one in some] for some in both)


def test_an_answer_ends_at_an_end_or_at_its_length():
    found = answers(collaborative(paper_rule(), 4), questions(30, max_new_tokens=12))
    for one in found:
        assert len(one.token_ids) == 12 or one.token_ids[-1] == END
        assert END not in one.token_ids[:-1]
    assert len({len(one.token_ids) == 12 for one in found}) == 2


def test_passes_are_counted():
    (one,) = answers(collaborative(lambda *_: False, 4), [Question((1, 2), 8, frozenset())])
    assert (one.num_draft_passes, one.num_target_passes) == (8, 2)


def test_sequences_share_passes_and_an_abandoned_run_closes_its_caches():
    models = HashedModel(1), HashedModel(2)
    asked = [Question((1, token), 8, frozenset()) for token in range(5)]
    works = ((at, draft_alone(one, *models)) for at, one in enumerate(asked))
    running = run(works, 5)
    next(running)
    assert models[0].num_passes == 8
    running.close()
    assert all(cache.closed for cache in models[0].caches)
