import numpy as np
import pytest

from tests.decoding.goodness_of_fit import fits, independent
from tiercel.decoding import Vocabulary, gumbel
from tiercel.decoding.mixing import mix, mix_array
from tiercel.decoding.noise import random_bits

MANY = np.arange(1_000_000, dtype=np.uint64)
EIGHT = Vocabulary.of([bytes([97 + i]) for i in range(8)]).hashes
PROBS = np.array([0.4, 0.2, 0.15, 0.1, 0.08, 0.04, 0.02, 0.01])


def sixteenths(seed: int, offset: int) -> np.ndarray:
    return (random_bits(MANY, seed, offset) >> np.uint64(60)).astype(np.intp)


def draws(noise, keys) -> np.ndarray:
    """One draw from PROBS for each (seed, offset)."""
    scores = np.log(PROBS)
    return np.array([np.argmax(scores + noise(seed, offset)) for seed, offset in keys])


def by_offset(seed, offset):
    return gumbel(EIGHT, seed, offset)


@pytest.fixture(scope="module")
def draws_along_a_text():
    return draws(by_offset, ((1, offset) for offset in range(200_000)))


# The bits, which every machine and every version must agree on.


def test_hashes_of_token_bytes_never_change():
    vocabulary = Vocabulary.of([b"", b" the", b"<|im_end|>", b" the", b"\xff"])
    assert [hex(value) for value in vocabulary.hashes] == HASHES


def test_random_bits_never_change():
    hashes = Vocabulary.of([b"", b" the"]).hashes
    keys = [(0, 0), (0, 1), (1, 0), (2**64 - 1, 4095)]
    assert [[hex(v) for v in random_bits(hashes, *key)] for key in keys] == BITS


def test_noises_never_change():
    noise = gumbel(Vocabulary.of([b"", b" the"]).hashes, seed=7, offset=42)
    np.testing.assert_allclose(noise, NOISES, rtol=1e-14)


def test_mixing_one_number_and_an_array_is_the_same_function():
    values = np.array([0, 1, 2**63, 2**64 - 1, 0x123456789ABCDEF], dtype=np.uint64)
    assert [int(v) for v in mix_array(values)] == [mix(int(v)) for v in values]


def test_mixing_does_not_change_the_array_it_is_given():
    values = np.arange(4, dtype=np.uint64)
    mix_array(values)
    assert values.tolist() == [0, 1, 2, 3]


# What a token is to the noise.


def test_the_same_bytes_have_the_same_noise_under_any_id_and_in_any_vocabulary():
    one = Vocabulary.of([b"a", b"b", b"c"])
    other = Vocabulary.of([b"x", b"c", b"y", b"a"])
    noise_of_one, noise_of_other = gumbel(one.hashes, 5, 9), gumbel(other.hashes, 5, 9)
    assert noise_of_one[0] == noise_of_other[3]
    assert noise_of_one[2] == noise_of_other[1]


def test_a_subset_of_tokens_has_the_noise_that_it_has_among_all():
    vocabulary = Vocabulary.of([bytes([i, j]) for i in range(40) for j in range(40)])
    everything = gumbel(vocabulary.hashes, 3, 11)
    subset = np.arange(0, 1600, 7)
    np.testing.assert_allclose(
        gumbel(vocabulary.hashes[subset], 3, 11), everything[subset], rtol=1e-14
    )


def test_ids_of_equal_bytes_have_noise_of_their_own():
    vocabulary = Vocabulary.of([b"a", b"", b"a", b"", b""])
    assert len(set(vocabulary.hashes.tolist())) == 5


def test_a_large_vocabulary_has_no_two_equal_hashes():
    vocabulary = Vocabulary.of([str(i % 40_000).encode() for i in range(50_000)])
    assert len(np.unique(vocabulary.hashes)) == 50_000


def test_a_token_without_bytes_still_moves_the_offset():
    vocabulary = Vocabulary.of([b"", b"abc", "é".encode()])
    assert vocabulary.widths.tolist() == [1, 3, 2]
    assert vocabulary.advance(10, [0, 1, 2, 0]) == 17


def test_a_vocabulary_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        Vocabulary.of([b"a"]).hashes[0] = 0


# Randomness.


@pytest.mark.parametrize(("seed", "offset"), [(0, 0), (1, 0), (0, 1), (2**64 - 1, 10**6)])
def test_random_bits_are_uniform(seed, offset):
    uniform = np.sort((random_bits(MANY, seed, offset) >> np.uint64(11)) * 2.0**-53)
    distance = np.abs(uniform - (np.arange(MANY.size) + 0.5) / MANY.size).max()
    assert distance * MANY.size**0.5 < 2.7  # Kolmogorov and Smirnov, one false alarm in a million
    assert fits(np.bincount(sixteenths(seed, offset)), np.ones(16))


@pytest.mark.parametrize(
    ("first", "second"),
    [((0, 0), (0, 1)), ((0, 0), (1, 0)), ((3, 8), (8, 3)), ((5, 100), (6, 99)), ((9, 7), (9, 8))],
)
def test_noise_at_one_offset_or_seed_says_nothing_of_the_next(first, second):
    assert independent(sixteenths(*first), sixteenths(*second))


def test_noise_of_one_token_says_nothing_of_its_neighbour():
    categories = sixteenths(4, 4)
    assert independent(categories[:-1], categories[1:])


def test_the_independence_test_sees_noise_that_ignores_the_offset():
    assert not independent(sixteenths(0, 0), sixteenths(0, 0))


def test_every_bit_flips_half_of_the_time_when_the_offset_moves_by_one():
    flips = random_bits(MANY[:100_000], 1, 1) ^ random_bits(MANY[:100_000], 1, 2)
    for bit in range(64):
        share = float(((flips >> np.uint64(bit)) & np.uint64(1)).mean())
        assert abs(share - 0.5) < 0.01  # more than six standard deviations


def test_noise_is_finite_for_every_value_that_the_bits_can_take(monkeypatch):
    extremes = np.array([0, 2**64 - 1], dtype=np.uint64)
    monkeypatch.setattr("tiercel.decoding.noise.mix_array", lambda _: extremes)
    noise = gumbel(extremes, 0, 0)
    assert -3.7 < noise[0] < -3.6
    assert 36.7 < noise[1] < 36.8


def test_noise_has_the_mean_and_variance_of_the_gumbel_distribution():
    noise = gumbel(MANY, 2, 2)
    assert abs(noise.mean() - np.euler_gamma) < 0.008
    assert abs(noise.var() - np.pi**2 / 6) < 0.03


# Draws.


def test_the_best_perturbed_log_probability_is_a_draw_from_the_distribution(draws_along_a_text):
    assert fits(np.bincount(draws_along_a_text, minlength=8), PROBS)


def test_draws_at_consecutive_offsets_are_independent(draws_along_a_text):
    assert independent(draws_along_a_text[:-1], draws_along_a_text[1:])


def test_draws_under_consecutive_seeds_are_independent_and_from_the_distribution():
    drawn = draws(by_offset, ((seed, 17) for seed in range(60_000)))
    assert fits(np.bincount(drawn, minlength=8), PROBS)
    assert independent(drawn[:-1], drawn[1:])


def test_the_fit_test_sees_a_distribution_that_is_off_by_two_percent(draws_along_a_text):
    off = PROBS + np.array([0.02, -0.02, 0, 0, 0, 0, 0, 0])
    assert not fits(np.bincount(draws_along_a_text, minlength=8), off)


def test_noise_that_ignores_the_offset_fails_the_fit_test():
    drawn = draws(lambda seed, _: gumbel(EIGHT, seed, 0), ((1, offset) for offset in range(1000)))
    assert not fits(np.bincount(drawn, minlength=8), PROBS)


def test_noise_that_is_used_twice_fails_the_independence_test():
    drawn = draws(
        lambda seed, offset: gumbel(EIGHT, seed, offset // 2),
        ((1, offset) for offset in range(20_000)),
    )
    assert not independent(drawn[:-1], drawn[1:])


HASHES = [
    "0x98e41d91e83adfb4",
    "0x16e56e6d982db67f",
    "0x2aef00ca32202678",
    "0x86e348370471a0af",
    "0x4d5a3d833ad70fab",
]
BITS = [
    ["0x4070be30325e558a", "0xeaef2e05f46de3d1"],
    ["0xd96aaee87c90dd48", "0x3c7ed64a7554c6ce"],
    ["0x98b9090b59fbd6b8", "0xdcbc7236909ee216"],
    ["0x2497015d46638879", "0x142b578fcfc5c464"],
]
NOISES = [0.54673975648907, -0.7479872583505689]
