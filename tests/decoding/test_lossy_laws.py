"""What the lossy rules that mix two distributions give, exactly, held against dense formulas."""

import numpy as np
import pytest

from tests.decoding.chains import SAMPLED, leaf, model, plain, target
from tests.decoding.enumeration import outcomes
from tests.decoding.goodness_of_fit import fits
from tiercel.decoding import Draft, TokenDistribution, draft_distribution, total_variation, verify
from tiercel.decoding.target import Row
from tiercel.types import Acceptance, Rule, SamplingParams

SIZE = 5
COOL = SamplingParams(temperature=0.6)
CASCADES = [Rule.CASCADE_CHOW, Rule.CASCADE_DIFF, Rule.CASCADE_OPT, Rule.CASCADE_TOKEN]
STRICTNESS = [0.0, 0.2, 0.5, 0.8, 0.999]
CLOSE = 1e-6  # a draft's distribution is rounded


@pytest.fixture
def enumerated(monkeypatch):
    """Let EXACT's noise fall in every way too, as independent numbers: see the last test."""

    def run(rule, strictness, truth, small, params=SAMPLED):
        """Return the law of the first token, and how often the draft's stands."""

        def program(chances):
            draft = leaf(small, params)(0, 1, chances.numbers("draft"))
            numbers = chances.numbers("coupled")
            monkeypatch.setattr(Row, "coupled", lambda row, given: numbers.draw(0, given))
            held = target(truth, 0, draft.token_ids, params)
            verdict = verify(Acceptance(rule, strictness), draft, held, chances.numbers("coin"))
            return verdict.committed(draft.token_ids)[0], verdict.num_accepted

        found = outcomes(program)
        law, accepted = np.zeros(SIZE), 0.0
        for (token, num_accepted), prob in found.items():
            law[token] += prob
            accepted += prob * num_accepted
        return law, accepted

    return run


def dense(distribution: TokenDistribution) -> np.ndarray:
    probs = np.zeros(SIZE)
    probs[distribution.token_ids] = distribution.shares
    return probs


def both(truth, small, params=SAMPLED):
    return dense(plain(truth[0], params)), dense(plain(small[0], params))


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).sum() / 2)


def mixed(rule, strictness, truth, small, params=SAMPLED) -> np.ndarray:
    """The target of a cascade, word for word as in the paper, with every token in its place."""
    ours, theirs = both(truth, small, params)
    own, their_own = dense(plain(truth[0])), dense(plain(small[0]))
    if rule is Rule.CASCADE_TOKEN:
        good = own >= strictness * own.max()
        return theirs * good + (1 - (theirs * good).sum()) * ours
    lenience = {Rule.CASCADE_CHOW: 1 - strictness}.get(rule, 1 - 2 * strictness)
    needed = {
        Rule.CASCADE_CHOW: 1 - lenience,
        Rule.CASCADE_DIFF: own.max() - lenience,
        Rule.CASCADE_OPT: own.max() - lenience * distance(ours, theirs),
    }[rule]
    return theirs if their_own.max() >= needed else ours


@pytest.mark.parametrize("params", [SAMPLED, COOL])
@pytest.mark.parametrize("strictness", STRICTNESS)
@pytest.mark.parametrize("rule", CASCADES)
def test_a_cascade_follows_its_mixed_target(enumerated, rule, strictness, params):
    for seed in range(4):
        truth, small = model(seed, SIZE), model(seed + 20, SIZE)
        law, accepted = enumerated(rule, strictness, truth, small, params)
        goal = mixed(rule, strictness, truth, small, params)
        np.testing.assert_allclose(law, goal, atol=CLOSE)
        _, theirs = both(truth, small, params)
        assert accepted == pytest.approx(1 - distance(goal, theirs), abs=CLOSE)


def test_the_cascades_do_defer_here_and_do_not():
    """The test above would say nothing if one side of each rule never came up."""
    for rule in CASCADES:
        gaps = [
            distance(mixed(rule, strictness, truth, small), both(truth, small)[0])
            for strictness in STRICTNESS
            for truth, small in [(model(seed, SIZE), model(seed + 20, SIZE)) for seed in range(4)]
        ]
        assert max(gaps) > 0.1
        assert min(gaps) < 0.05


@pytest.mark.parametrize("strictness", STRICTNESS)
def test_an_ensemble_accepts_and_is_biased_as_it_says(enumerated, strictness):
    for seed in range(6):
        truth, small = model(seed, SIZE), model(seed + 20, SIZE)
        ours, theirs = both(truth, small)
        law, accepted = enumerated(Rule.ENSEMBLE, strictness, truth, small)
        apart = distance(ours, theirs)
        assert accepted == pytest.approx(1 - strictness * apart, abs=CLOSE)
        assert distance(law, ours) == pytest.approx((1 - strictness) * apart, abs=CLOSE)
        np.testing.assert_allclose(law, strictness * ours + (1 - strictness) * theirs, atol=CLOSE)


@pytest.mark.parametrize("strictness", STRICTNESS)
def test_lenience_gives_what_its_formula_says_and_no_token_too_often(enumerated, strictness):
    for seed in range(6):
        truth, small = model(seed, SIZE), model(seed + 20, SIZE)
        ours, theirs = both(truth, small)
        law, accepted = enumerated(Rule.LENIENT, strictness, truth, small)
        kept = theirs if strictness == 0 else np.minimum(theirs, ours / strictness)
        left = np.maximum(ours - theirs, 0)
        goal = kept + (1 - kept.sum()) * left / left.sum()
        np.testing.assert_allclose(law, goal, atol=CLOSE)
        assert accepted == pytest.approx(kept.sum(), abs=CLOSE)
        assert (law * strictness <= ours + CLOSE).all()


@pytest.mark.parametrize("rule", [Rule.ENSEMBLE, Rule.LENIENT, *CASCADES])
def test_a_masked_token_never_stands(enumerated, rule):
    truth, small = model(1, SIZE), model(21, SIZE)
    truth[0, small[0].argmax()] = -np.inf
    law, _ = enumerated(rule, 0.0, truth, small)
    assert law[small[0].argmax()] == 0
    assert law.sum() == pytest.approx(1)


@pytest.mark.parametrize("rule", [Rule.ENSEMBLE, Rule.LENIENT, *CASCADES])
def test_a_draft_of_which_nothing_is_known_is_judged_as_certain(enumerated, rule):
    """It must not pass for a drafter that is sure: a cascade defers to no such one."""
    truth = model(2, SIZE)
    ours = dense(plain(truth[0], SAMPLED))
    worst = int(truth[0].argmin())
    held = target(truth, 0, (worst,))
    stands = sum(
        verify(Acceptance(rule, 0.6), Draft((worst,)), held, Coin(number)).num_accepted
        for number in range(100)
    )
    most = {Rule.ENSEMBLE: 0.4 + 0.6 * ours[worst], Rule.LENIENT: ours[worst] / 0.6}
    assert stands <= 100 * most.get(rule, ours[worst]) + 1


class Coin:
    """A number in the middle of the hundredth that is asked for."""

    def __init__(self, hundredth: int) -> None:
        self.number = (hundredth + 0.5) / 100

    def coin(self, index, prob):
        return self.number < prob


def test_a_recovered_token_is_drawn_with_exacts_noise_and_follows_what_is_left():
    truth, small = model(3, SIZE), model(23, SIZE)
    sent = draft_distribution(small[0], SAMPLED)
    shares = np.maximum(dense(plain(truth[0], SAMPLED)) - dense(sent), 0)
    left = TokenDistribution(np.flatnonzero(shares), shares[shares > 0])
    params = [SamplingParams(temperature=1.0, seed=seed) for seed in range(4000)]
    drawn = [Row(target(truth, 0, (), one), 0, 0).coupled(left) for one in params]
    counts = np.bincount(drawn, minlength=SIZE)
    assert fits(counts[left.token_ids], left.shares)
    exact = [Row(target(truth, 0, (), one), 0, 0).exact for one in params[:1000]]
    agree = sum(map(int.__eq__, exact, drawn)) / 1000
    apart = total_variation(left, plain(truth[0], SAMPLED))
    assert agree > (1 - apart) / (1 + apart) - 0.05


def greedy(rule, strictness, truth, drafted, probs=None):
    draft = Draft((drafted,), probs=probs)
    held = target(truth, 0, (drafted,), SamplingParams())
    return verify(Acceptance(rule, strictness), draft, held, Coin(50)).num_accepted == 1


def test_at_temperature_zero_the_models_own_probabilities_count():
    truth = np.log(np.array([[0.5, 0.3, 0.15, 0.05]] * 4, dtype=np.float32))
    for rule in (Rule.LENIENT, Rule.CASCADE_TOKEN):
        assert greedy(rule, 0.59, truth, 1)  # 0.3 / 0.5 is 0.6
        assert not greedy(rule, 0.61, truth, 1)
    assert greedy(Rule.CASCADE_CHOW, 0.7, truth, 3, (0.71,))
    assert not greedy(Rule.CASCADE_CHOW, 0.7, truth, 3, (0.69,))
    assert greedy(Rule.CASCADE_DIFF, 0.6, truth, 3, (0.71,))  # 0.5 + 0.2
    assert not greedy(Rule.CASCADE_DIFF, 0.6, truth, 3, (0.69,))
    # Two single tokens lie 1 apart, so that this is the same.
    assert greedy(Rule.CASCADE_OPT, 0.6, truth, 3, (0.71,))
    assert not greedy(Rule.CASCADE_OPT, 0.6, truth, 3, (0.69,))
    for rule in CASCADES[:3]:
        assert not greedy(rule, 0.6, truth, 3)  # nothing is known of how sure the drafter is
        assert greedy(rule, 0.6, truth, 0)
    assert greedy(Rule.ENSEMBLE, 0.4, truth, 3)  # the coin shows 0.505, and 0.6 is asked
    assert not greedy(Rule.ENSEMBLE, 0.6, truth, 3)
