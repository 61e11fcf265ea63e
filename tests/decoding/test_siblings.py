"""Trees of several drafters' drafts keep the target's distribution under REJECTION, exactly."""

from dataclasses import replace

import pytest

from tests.decoding.chains import SAMPLED, judge, law, leaf, middle, model, target
from tests.decoding.enumeration import outcomes, variation
from tests.decoding.tree_lookalikes import FAR, NEAR, TREE_BIAS, TRUTH, the_formulas, tokens_by
from tests.decoding.trees import committed, decode_ahead, decode_trees, together
from tiercel.decoding import Draft, Randomness, may_judge_together
from tiercel.errors import InvalidRequest, ModelFault
from tiercel.types import Acceptance, Rule, SamplingParams

EXACT = 1e-12


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("size", "lengths", "count"),
    [(3, (1, 1), 2), (3, (1, 1, 1), 1), (2, (2, 2), 2), (2, (2, 1), 3), (4, (1, 2), 1)],
)
def test_tokens_follow_the_target_whoever_drafted(seed, size, lengths, count):
    truth = model(seed, size)
    drafters = [leaf(model(seed + 100 * (n + 1), size)) for n in range(len(lengths))]
    found = outcomes(decode_trees(truth, drafters, lengths=lengths, count=count))
    assert sum(found.values()) == pytest.approx(1, abs=EXACT)
    assert variation(found, law(truth, count)) < EXACT


@pytest.mark.parametrize(
    "params", [SamplingParams(temperature=0.5), SamplingParams(temperature=2.0, top_k=2)]
)
def test_temperature_and_truncation_of_the_target_are_kept(params):
    program = decode_trees(TRUTH, (NEAR, FAR), lengths=(2, 1), count=1, params=params)
    assert variation(outcomes(program), law(TRUTH, 1, params)) < EXACT


def silent(last, most, numbers) -> Draft:
    """A drafter that says nothing of how it drew, such as an index of recent text."""
    return Draft(NEAR(last, most, numbers).token_ids)


@pytest.mark.parametrize("drafters", [(silent, FAR), (FAR, silent), (silent, silent)])
def test_a_drafter_that_says_nothing_takes_part(drafters):
    found = outcomes(decode_trees(TRUTH, drafters, lengths=(2, 1), count=1))
    assert variation(found, law(TRUTH, 1)) < EXACT


def test_a_tier_that_drafts_from_a_tree_sends_what_it_draws():
    """Two levels of trees, each exact towards what it sends up."""
    below = middle(model(21, 2), leaf(model(22, 2)), Rule.REJECTION, 2)
    found = outcomes(
        decode_trees(model(20, 2), (below, leaf(model(23, 2))), lengths=(2, 1), count=2)
    )
    assert variation(found, law(model(20, 2), 2)) < EXACT


def test_what_drafters_ran_ahead_with_is_kept():
    truth, drafters = model(30, 2), (leaf(model(31, 2)), leaf(model(32, 2)))
    found = outcomes(decode_ahead(truth, drafters, length=2, judged=1, count=3))
    assert variation(found, law(truth, 3)) < EXACT


def test_a_second_drafter_never_lessens_what_stands():
    def rate(*drafters) -> float:
        def program(chances):
            drafts = [
                drafter(0, 1, chances.numbers("draft", n)) for n, drafter in enumerate(drafters)
            ]
            held = [target(TRUTH, 0, draft.token_ids) for draft in drafts]
            return together(drafts, held, chances.numbers("verdict"))[1].num_accepted

        return outcomes(program)[1]

    assert rate(NEAR, FAR) > rate(NEAR) + 0.01
    assert rate(FAR, NEAR) > rate(FAR) + 0.01


def test_at_temperature_zero_the_best_tokens_stand():
    greedy = SamplingParams()
    best = [int(row.argmax()) for row in TRUTH]
    right = Draft((best[0], best[best[0]]))
    for drafts in ([Draft((1 + best[0],)), right], [right, Draft((best[0],))]):
        found = committed(TRUTH[:, :], 0, drafts, together, Randomness(1), greedy)
        assert found == (*right.token_ids, best[right.token_ids[-1]])


@pytest.mark.parametrize("key", range(40))
def test_a_tree_of_one_draft_is_the_rule_for_one(key):
    draft = NEAR(0, 3, Randomness(key))
    held, numbers = target(TRUTH, 0, draft.token_ids), Randomness(1000 + key)
    alone = judge(Rule.REJECTION)(draft, held, numbers)
    assert together([draft], [held], numbers) == (0, alone)
    # Nor do drafts matter that have no token.
    number, verdict = together([Draft(), draft], [target(TRUTH, 0, ()), held], numbers)
    assert verdict == alone and (number == 1 or not verdict.num_accepted + verdict.num_rejected)


def test_a_lying_drafter_or_model_is_refused():
    draft = NEAR(0, 1, Randomness(0))
    other = leaf(model(10), support=1)(0, 1, Randomness(0))
    wrong = replace(other, token_ids=((other.token_ids[0] + 1) % 4,))
    held = target(TRUTH, 0, wrong.token_ids)
    with pytest.raises(InvalidRequest, match="does not hold the draft token"):
        together([wrong, wrong], [held, held], Randomness(0))
    with pytest.raises(ModelFault, match="rows of logits"):
        together([draft, draft], [held, target(TRUTH, 0, ())], Randomness(0))


@pytest.mark.parametrize("control", TREE_BIAS, ids=lambda control: control.__name__)
def test_the_proof_sees(control):
    found = control()
    assert sum(found.values()) == pytest.approx(1, abs=EXACT)
    assert variation(found, law(TRUTH, 1)) > TREE_BIAS[control]


def test_the_proof_does_not_see_what_is_right():
    assert variation(the_formulas(), law(TRUTH, 1)) < EXACT
    assert variation(tokens_by(together), law(TRUTH, 1)) < EXACT


@pytest.mark.parametrize(
    ("rule", "sampled", "greedy"),
    [
        (Rule.EXACT, True, True),
        (Rule.REJECTION, True, True),
        (Rule.BLOCK, False, True),
        (Rule.ENSEMBLE, False, False),
        (Rule.CASCADE_OPT, False, False),
        (Rule.TYPICAL, True, True),
    ],
)
def test_rules_that_throw_coins_for_one_draft_take_no_others(rule, sampled, greedy):
    acceptance = Acceptance(rule, 1.0 if rule in (Rule.EXACT, Rule.REJECTION, Rule.BLOCK) else 0.5)
    assert may_judge_together(acceptance, SAMPLED) == sampled
    assert may_judge_together(acceptance, SamplingParams()) == greedy
