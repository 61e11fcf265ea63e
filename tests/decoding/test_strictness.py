"""One strictness for every lossy rule: 1 is EXACT, and the less the more stands."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.decoding.blocks import LOSSY, TREE, Block, block, blocks
from tiercel.decoding import RULES, Randomness, choose, in_force
from tiercel.decoding.verdict import Leeway
from tiercel.types import Acceptance, Evidence, Rule, SamplingParams

SHARE = st.floats(0, 1)
# At strictness 1 they are speculative sampling, token for token, if not told to be EXACT.
SAMPLING = [Rule.ENSEMBLE, Rule.LENIENT, Rule.CASCADE_CHOW, Rule.CASCADE_DIFF, Rule.CASCADE_OPT]
THRESHOLDS = [Rule.TYPICAL, Rule.RELAXED, Rule.AGREEMENT, Rule.COSD_RULE, Rule.COSD_TREE]
examples = settings(deadline=None, derandomize=True, max_examples=40)


@pytest.mark.parametrize("rule", LOSSY)
@examples
@given(block=blocks, key=st.integers(0, 2**64 - 1))
def test_strictness_one_is_exact(rule, block, key):
    assert in_force(Acceptance(rule)) is Rule.EXACT
    assert block.judge(rule, 1.0, key) == block.judge(Rule.EXACT)


@pytest.mark.parametrize("rule", THRESHOLDS)
@examples
@given(block=blocks)
def test_a_threshold_at_strictness_one_is_exact_by_itself_too(rule, block):
    """Not because another function is called: the mapping reaches it."""
    verdict = RULES[rule].judge(block.draft, block.target, Leeway(1.0, Randomness(0), 2, TREE))
    exact = block.judge(Rule.EXACT)
    assert (verdict.num_accepted, verdict.num_rejected) == (exact.num_accepted, exact.num_rejected)
    assert verdict.divergences == ()


@pytest.mark.parametrize("rule", SAMPLING)
@examples
@given(block=blocks, key=st.integers(0, 2**64 - 1))
def test_a_looser_coin_at_strictness_one_is_that_of_rejection(rule, block, key):
    leeway = Leeway(1.0, Randomness(key), 2, TREE)
    verdict = RULES[rule].judge(block.draft, block.target, leeway)
    assert verdict.num_accepted == block.judge(Rule.REJECTION, key=key).num_accepted


@pytest.mark.parametrize("rule", LOSSY)
@examples
@given(block=blocks, one=SHARE, other=SHARE, key=st.integers(0, 2**64 - 1))
def test_what_stands_at_a_strictness_stands_at_a_lesser_one(rule, block, one, other, key):
    laxer, stricter = sorted((one, other))
    # EXACT draws with other noise than what is made for sampling.
    assume(stricter < 1 or RULES[rule].evidence is not Evidence.DISTRIBUTIONS)
    # When fewer tokens are good, the target's share grows, and more of the others may stand.
    assume(rule is not Rule.CASCADE_TOKEN or block.params.temperature == 0)
    accepted = [block.judge(rule, share, key).num_accepted for share in (laxer, stricter)]
    assert accepted[0] >= accepted[1]


@pytest.mark.parametrize("rule", [rule for rule in LOSSY if rule is not Rule.AGREEMENT])
@examples
@given(block=blocks)
def test_strictness_zero_keeps_what_the_target_can_say_at_all(rule, block):
    verdict = block.judge(rule, 0.0)
    possible = block.judge(Rule.LENIENT, 1e-300)  # no coin comes up against such odds
    assert verdict.num_accepted >= possible.num_accepted


def exact_tokens(block: Block, committed: tuple[int, ...]) -> list[int]:
    offset, found = block.target.offset, []
    for row, token_id in zip(block.logits, committed, strict=False):
        found.append(choose(row, block.params, block.target.vocabulary, offset))
        offset = block.target.vocabulary.advance(offset, [token_id])
    return found


@pytest.mark.parametrize("rule", LOSSY)
@examples
@given(block=blocks, strictness=st.floats(0, 0.999), key=st.integers(0, 2**64 - 1))
def test_a_divergence_is_every_token_that_exact_would_refuse(rule, block, strictness, key):
    verdict = block.judge(rule, strictness, key)
    committed = verdict.committed(block.draft.token_ids)
    exact = exact_tokens(block, committed)
    assert verdict.num_compared == len(committed)
    wanted = [i for i, token_id in enumerate(committed) if token_id != exact[i]]
    assert [one.index for one in verdict.divergences] == wanted
    for one in verdict.divergences:
        row = block.logits[one.index].astype(float)
        assert one.exact_token == exact[one.index]
        assert one.logprob_gap == pytest.approx(row[one.exact_token] - row[committed[one.index]])
        if block.params.temperature == 0:
            assert one.logprob_gap >= 0


@pytest.mark.parametrize("rule", LOSSY)
def test_the_middle_of_the_scale_loses_something_and_keeps_something(rule):
    """Else the tests above would hold for a rule that ignores its strictness."""
    all_of = [block(seed, 3, SamplingParams(), 0.5) for seed in range(60)]
    counts = [sum(one.judge(rule, s, 7).num_accepted for one in all_of) for s in (0.02, 0.5, 1)]
    assert counts[0] > counts[2]
    assert counts[0] >= counts[1] >= counts[2]
