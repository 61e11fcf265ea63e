"""What is evaluated is what is served: tiers' rules answer as the evaluation's loops do."""

import numpy as np
import pytest

from tests.fusion.hashed_model import VOCAB_SIZE, HashedModel
from tests.fusion.test_methods import answers, probabilities, questions
from tiercel.decoding import Draft, Randomness, Target, Vocabulary, verify
from tiercel.decoding.cosd_tree import CosdTree, Leaf, Split
from tiercel.evaluation.fusion.methods import Question, collaborative, paper_rule
from tiercel.types import Acceptance, Rule, SamplingParams

VOCABULARY = Vocabulary.of([bytes([65 + id]) for id in range(VOCAB_SIZE)])
TREE = CosdTree(
    Split(
        "target_prob", 0.4, Leaf(False, 1), Split("draft_prob", 0.45, Leaf(True, 1), Leaf(False, 1))
    )
)
BLOCK = 4


def served(question: Question, rule: Rule, tree: CosdTree | None) -> tuple[int, ...]:
    """Answer block by block, each judged by the rule that a tier would judge by."""
    answer: list[int] = []
    while not question.is_over(answer):
        block, probs = list(answer), list[float]()
        while len(probs) < BLOCK and not question.is_over(block):
            shares = probabilities(1, [*question.prompt_ids, *block])
            block.append(int(shares.argmax()))
            probs.append(float(shares.max()))
        drafted, judge = block[len(answer) :], HashedModel(2)
        before = [*question.prompt_ids, *answer]
        rows = [judge.row([*before, *drafted[:at]]) for at in range(len(drafted) + 1)]
        verdict = verify(
            Acceptance(rule, 0.5),
            Draft(tuple(drafted), tuple(probs)),
            Target(np.stack(rows), SamplingParams(), VOCABULARY),
            Randomness.of(0, "test"),
            tree,
        )
        answer += drafted[: verdict.num_accepted]
        answer += [] if verdict.next_token is None else [verdict.next_token]
    return tuple(answer)


@pytest.mark.parametrize(
    ("rule", "tree", "replaces"),
    [(Rule.COSD_RULE, None, paper_rule()), (Rule.COSD_TREE, TREE, TREE.replaces)],
)
def test_a_tiers_rule_answers_as_the_evaluation_does(rule, tree, replaces):
    asked = questions(12)
    found = answers(collaborative(replaces, BLOCK), asked)
    assert [served(one, rule, tree) for one in asked] == [one.token_ids for one in found]
    assert sum(one.num_replaced for one in found) > 5
