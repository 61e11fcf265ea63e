import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decoding.goodness_of_fit import fits
from tiercel.decoding import Vocabulary, choose, distribution, gumbel, logprobs, validate
from tiercel.errors import InvalidRequest, ModelFault
from tiercel.types import SamplingParams

SAMPLED = SamplingParams(temperature=1.0)


def vocabulary(size: int) -> Vocabulary:
    return Vocabulary.of([str(i).encode() for i in range(size)])


def row(*logits: float) -> np.ndarray:
    return np.array(logits, dtype=np.float32)


def draw(logits: np.ndarray, params: SamplingParams, offset: int = 0) -> int:
    return choose(logits, params, vocabulary(len(logits)), offset)


def reference_ids(logits: np.ndarray, params: SamplingParams) -> list[int]:
    """Truncation, the slow way, word for word."""
    ranked = sorted(range(len(logits)), key=lambda i: (-float(logits[i]), i))
    best = float(logits[ranked[0]])
    kept = [i for i in ranked if best - float(logits[i]) <= 17 * params.temperature]
    if params.top_k:
        kept = kept[: params.top_k]
    weights = [math.exp((float(logits[i]) - best) / params.temperature) for i in kept]
    total, mass, count = math.fsum(weights), 0.0, 0
    while count < len(kept) and (mass < params.top_p * total or count == 0):
        mass += weights[count]
        count += 1
    return sorted(kept if params.top_p == 1 else kept[:count])


# Eighths tie often and are exact in every format.
eighths = st.integers(-400, 400).map(lambda n: n / 8)
rows = st.lists(st.one_of(eighths, st.just(-math.inf)), min_size=1, max_size=40).filter(
    lambda logits: max(logits) > -math.inf
)
sampled_params = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.1, 0.5, 0.8, 1.0, 1.7, 100.0]),
    top_k=st.integers(0, 45),
    top_p=st.sampled_from([1e-9, 0.3, 0.77, 0.9, 0.999, 1.0]),
    seed=st.integers(0, 2**64 - 1),
)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(rows, sampled_params)
def test_truncation_keeps_what_the_slow_definition_keeps(logits, params):
    logits = row(*logits)
    ids, probs = distribution(logits, params)
    assert ids.tolist() == reference_ids(logits, params)
    weights = np.array([math.exp((logits[i] - logits.max()) / params.temperature) for i in ids])
    np.testing.assert_allclose(probs, weights / weights.sum(), rtol=1e-6)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(rows, sampled_params, st.integers(0, 10**6))
def test_a_draw_is_the_best_perturbed_logit_of_those_kept(logits, params, offset):
    logits = row(*logits)
    noise = gumbel(vocabulary(len(logits)).hashes, params.seed, offset)
    scores = {
        i: float(logits[i]) / params.temperature + noise[i] for i in reference_ids(logits, params)
    }
    assert draw(logits, params, offset) == max(scores, key=lambda i: scores[i])


@settings(deadline=None, derandomize=True, max_examples=100)
@given(rows, st.integers(0, 5))
def test_temperature_zero_is_the_lowest_best_id_whatever_else_is_asked(logits, top_k):
    logits = row(*logits)
    params = SamplingParams(temperature=0.0, top_k=top_k, top_p=0.5, seed=9)
    assert draw(logits, params) == logits.tolist().index(logits.max())
    assert distribution(logits, params)[1].tolist() == [1.0]


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(temperature=1.0),
        SamplingParams(temperature=0.7, top_k=5),
        SamplingParams(temperature=1.3, top_p=0.8),
        SamplingParams(temperature=1.0, top_k=6, top_p=0.9),
    ],
)
def test_draws_follow_the_distribution_that_is_named(params):
    logits = row(0.3, -1.0, 1.5, 0.3, 2.0, -0.5, 0.9, 0.0)
    words = vocabulary(8)
    drawn = [choose(logits, params, words, offset) for offset in range(20_000)]
    ids, probs = distribution(logits, params)
    counts = np.bincount(drawn, minlength=8)
    assert counts.sum() == counts[ids].sum()
    assert fits(counts[ids], probs)
    assert not fits(counts[ids], np.roll(probs, 1))


def test_a_token_exactly_seventeen_below_the_best_is_kept_and_the_next_is_not():
    assert distribution(row(17.0, 0.0, -1e-8, -0.5), SAMPLED)[0].tolist() == [0, 1]


def test_the_reach_of_truncation_is_exact_between_neighbours_in_float32():
    above = np.float32(3.4)  # 17 - 17 * 0.8 lies between these two
    below = np.nextafter(above, np.float32(0))
    params = SamplingParams(temperature=0.8)
    assert distribution(row(17.0, above, below), params)[0].tolist() == [0, 1]


def test_the_reach_of_truncation_grows_with_the_temperature():
    logits = row(10.0, 2.0, -10.0, -40.0)
    kept = [len(distribution(logits, SamplingParams(temperature=t))[0]) for t in (0.1, 0.5, 2, 4)]
    assert kept == [1, 2, 3, 4]


def test_top_k_takes_the_lowest_ids_among_equals():
    ids, probs = distribution(row(1, 3, 2, 2, 2), SamplingParams(temperature=1.0, top_k=3))
    assert ids.tolist() == [1, 2, 3]
    assert probs[1] == probs[2]


def test_top_p_takes_the_lowest_ids_among_equals_and_reaches_the_mass():
    params = SamplingParams(temperature=1.0, top_p=0.5)
    assert distribution(row(0, 0, 0, 0), params)[0].tolist() == [0, 1]


def test_top_p_counts_the_mass_of_what_top_k_left():
    logits = np.log(row(0.4, 0.3, 0.2, 0.1))
    alone = SamplingParams(temperature=1.0, top_p=0.55)
    both = SamplingParams(temperature=1.0, top_k=2, top_p=0.55)
    assert distribution(logits, alone)[0].tolist() == [0, 1]
    assert distribution(logits, both)[0].tolist() == [0]  # 0.4 / 0.7 is enough


def test_the_smallest_top_p_leaves_the_best_token():
    params = SamplingParams(temperature=1.0, top_p=5e-324)
    assert distribution(row(1, 2, 1), params)[0].tolist() == [1]


def test_a_positive_infinity_is_certain_and_the_first_one_counts():
    logits = row(1.0, math.inf, 5.0, math.inf)
    assert draw(logits, SAMPLED) == 1
    assert draw(logits, SamplingParams()) == 1
    assert distribution(logits, SAMPLED)[0].tolist() == [1]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize(
    "logits",
    [
        row(1.0, math.nan, 2.0),
        row(math.inf, math.nan),
        row(math.nan, math.inf),
        row(-math.inf, -math.inf),
    ],
)
def test_logits_that_no_model_may_give_are_a_fault(logits, temperature):
    with pytest.raises(ModelFault):
        draw(logits, SamplingParams(temperature=temperature))


def test_logits_of_another_length_than_the_vocabulary_are_a_fault():
    with pytest.raises(ModelFault, match="3"):
        choose(row(1, 2), SAMPLED, vocabulary(3), 0)


def test_huge_logits_and_tiny_temperatures_do_not_overflow():
    logits = row(3.4e38, -3.4e38, 3.3e38)
    assert draw(logits, SamplingParams(temperature=5e-324)) == 0
    assert draw(logits, SamplingParams(temperature=100.0)) == 0
    assert draw(-np.abs(logits), SamplingParams(temperature=100.0)) == 2


def test_a_seed_and_an_offset_each_change_the_draws():
    logits = np.zeros(50, dtype=np.float32)
    words = vocabulary(50)

    def text(seed: int, start: int) -> list[int]:
        params = SamplingParams(temperature=1.0, seed=seed)
        return [choose(logits, params, words, start + i) for i in range(20)]

    assert text(1, 0) == text(1, 0)
    assert text(1, 0) != text(2, 0)
    assert text(1, 0)[1:] == text(1, 1)[:-1]
    assert text(1, 0) != text(1, 1)


def test_log_probabilities_are_those_of_the_whole_softmax():
    logits = row(1.0, 3.0, 2.0, 3.0, -math.inf)
    whole = np.log(np.exp([1.0, 3.0, 2.0, 3.0]).sum())
    answer = logprobs(logits, token_id=2, num_top=3)
    assert answer.token_id == 2
    assert answer.logprob == pytest.approx(2.0 - whole)
    assert [token for token, _ in answer.top] == [1, 3, 2]
    assert [value for _, value in answer.top] == pytest.approx([3 - whole, 3 - whole, 2 - whole])
    assert len(logprobs(logits, token_id=2, num_top=20).top) == 5  # no more than there are


def test_log_probabilities_of_a_certain_token():
    answer = logprobs(row(1.0, math.inf, math.inf), token_id=2, num_top=0)
    assert answer.logprob == -math.inf
    assert answer.top == ()
    assert logprobs(row(1.0, math.inf), token_id=1, num_top=0).logprob == 0.0


@pytest.mark.parametrize("token_id", [-1, 3])
def test_the_log_probability_of_an_id_outside_the_vocabulary_is_refused(token_id):
    with pytest.raises(InvalidRequest, match="token_id"):
        logprobs(row(1, 2, 3), token_id=token_id, num_top=0)


def test_log_probabilities_of_nan_are_a_fault():
    with pytest.raises(ModelFault):
        logprobs(row(1, math.nan), token_id=0, num_top=0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("temperature", 100.5),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("top_p", math.nan),
        ("seed", -1),
        ("seed", 2**64),
    ],
)
def test_a_bad_parameter_is_refused_with_its_name_and_value(field, value):
    with pytest.raises(InvalidRequest, match=f"{field}={value}") as caught:
        validate(SamplingParams(**{field: value}))
    assert caught.value.field == field


def test_parameters_at_their_limits_are_taken():
    validate(SamplingParams())
    validate(SamplingParams(temperature=100.0, top_k=10**6, top_p=1.0, seed=2**64 - 1))
