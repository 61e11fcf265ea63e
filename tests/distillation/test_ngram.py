"""`tiercel distill ngram`: from recorded answers to a bounded, honestly calibrated table."""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.distillation.conftest import Target, prompts_of, record
from tests.engines.ngram_tables import saved
from tiercel.cli.__main__ import app
from tiercel.distillation.ngram_calibration import Curve, curve, rising
from tiercel.distillation.ngram_counts import Texts, count
from tiercel.distillation.ngram_recording import read_texts
from tiercel.distillation.ngram_table import Bounds, build
from tiercel.engines.ngram import NgramTable
from tiercel.errors import InvalidRequest
from tiercel.shard_folder import MANIFEST_FILE


def markov(seed: int, num_texts: int, length: int = 80) -> list[list[int]]:
    """Texts of one second-order chain of 40 tokens, whose next token is more or less certain."""
    generator, texts = random.Random(seed), []
    for _ in range(num_texts):
        text = [generator.randrange(40), generator.randrange(40)]
        while len(text) < length:
            rule = random.Random(text[-2] * 40 + text[-1])
            usual, certainty = rule.randrange(40), rule.random()
            is_usual = generator.random() < certainty
            text.append(usual if is_usual else generator.randrange(40))
        texts.append(text)
    return texts


def guesses(table: NgramTable, texts: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Confidences of all guesses about the texts, and whether they are right."""
    found = [
        (guess.confidence, guess.token == text[position])
        for text in texts
        for position in range(1, len(text))
        if (guess := table.guess(text[:position])) is not None
    ]
    confidences, hits = zip(*found, strict=True)
    return np.array(confidences), np.array(hits)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> NgramTable:
    path = tmp_path_factory.mktemp("tables") / "table"
    return NgramTable(saved(path, markov(1, 400)))


def test_of_guesses_on_new_texts_as_many_are_right_as_their_confidence_says(table: NgramTable):
    confidences, hits = guesses(table, markov(2, 200))
    for low in np.arange(0.2, 0.9, 0.1):
        is_here = (confidences >= low) & (confidences < low + 0.1)
        assert is_here.sum() > 100
        assert hits[is_here].mean() == pytest.approx(confidences[is_here].mean(), abs=0.06)


def test_the_counts_alone_are_too_sure_of_themselves():
    """What the calibration mends: it would fail the test above."""
    texts = Texts.of(markov(1, 400), range(400))
    longest = list(count(texts, 5))[-1]
    by_key = dict(zip(longest.keys.tolist(), range(len(longest.keys)), strict=True))
    unseen = Texts.of(markov(2, 200), range(200))
    positions, keys = list(unseen.contexts(5))[-1]
    found = [(by_key[k], p) for k, p in zip(keys.tolist(), positions, strict=True) if k in by_key]
    likelihoods = longest.likelihoods[[which for which, _ in found]]
    hits = [longest.tokens[which] == unseen.tokens[position] for which, position in found]
    assert likelihoods.mean() > np.mean(hits) + 0.05


def test_the_file_is_as_small_as_it_is_told_and_keeps_what_is_worth_most(tmp_path: Path):
    texts, unseen = markov(1, 400), markov(2, 100)
    num_right = []
    for size in (10_000, 20_000, 1_000_000):
        path = saved(tmp_path / "t", texts, Bounds(max_bytes=size))
        assert min(size, 100_000) / 2 < path.stat().st_size <= size
        confidences, hits = guesses(NgramTable(path), unseen)
        num_right.append(hits[confidences > 0.5].sum())
    assert min(num_right) > 0.9 * max(num_right)  # the first has a tenth of the last one's entries


def test_what_is_said_many_times_to_one_prompt_counts_once(tmp_path: Path):
    filler = [[100 + number, 7, 8] for number in range(30)]
    texts = [*filler, *[[5, 6] * 20], *[[5, 9, 200 + number] for number in range(3)]]
    assert NgramTable(saved(tmp_path / "t", texts)).guess([5]).token == 9


def test_of_a_sample_it_counts_what_the_target_held_likeliest(target: Target, tmp_path: Path):
    prompts = prompts_of(12)
    record(target, tmp_path / "greedy", prompts, num_tokens=150, temperature=0.0)
    record(target, tmp_path / "sampled", prompts, num_tokens=150, temperature=1.5)
    _, greedy = read_texts([tmp_path / "greedy"])
    _, sampled = read_texts([tmp_path / "sampled"])
    assert np.array_equal(greedy.best, greedy.tokens)
    assert not np.array_equal(sampled.best, sampled.tokens)
    for lessons in (tmp_path / "sampled").glob("lessons-*"):
        shutil.rmtree(lessons)
    _, unknown = read_texts([tmp_path / "sampled"])
    assert np.array_equal(unknown.best, unknown.tokens)
    assert np.array_equal(unknown.tokens, sampled.tokens)


def test_too_little_to_count_is_refused():
    with pytest.raises(InvalidRequest, match="too few"):
        build(Texts.of([[1], [2]], [0, 1]), 512, Bounds())


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 10)), min_size=1, max_size=30))
def test_the_rising_sequence_rises_and_keeps_the_mean(points: list[tuple[float, float]]):
    values, weights = (list(column) for column in zip(*points, strict=True))
    fitted = rising(values, weights)
    assert np.all(np.diff(fitted) >= 0)
    assert np.average(fitted, weights=weights) == pytest.approx(np.average(values, weights=weights))
    assert rising(sorted(values), weights) == pytest.approx(sorted(values))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=200))
def test_a_curve_never_falls_and_stays_a_share(points: list[tuple[float, bool]]):
    likelihoods = np.array([likelihood for likelihood, _ in points])
    fitted: Curve = curve(likelihoods, np.array([hit for _, hit in points], np.bool_))
    shares = fitted(np.linspace(0, 1, 50))
    assert np.all(np.diff(shares) >= 0)
    assert shares.min() >= 0 and shares.max() < 1


@pytest.fixture
def recording(target: Target, tmp_path: Path) -> Path:
    record(target, tmp_path / "recording", prompts_of(30), num_tokens=600, temperature=0.0)
    return tmp_path / "recording"


def run(*arguments: object):
    return CliRunner().invoke(app, ["distill", "ngram", *map(str, arguments)])


def test_the_command_makes_a_table_of_a_recording(target: Target, recording: Path, tmp_path: Path):
    out = tmp_path / "folder" / "table.safetensors"
    result = run("--recording", recording, "--out", out, "--max-order", 3, "--min-confidence", 0)
    assert result.exit_code == 0, result.output
    header = NgramTable(out).header
    assert header.tokenizer_fingerprint == target[1].fingerprint
    assert (header.max_order, header.num_tokens >= 600) == (3, True)
    assert "contexts of" in result.stderr


def test_recordings_of_two_tokenizers_do_not_mix(recording: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    manifest = (recording / MANIFEST_FILE).read_text()
    (other / MANIFEST_FILE).write_text(
        manifest.replace('"tokenizer_fingerprint": "', '"tokenizer_fingerprint": "0')
    )
    out = tmp_path / "t"
    result = run("--recording", recording, "--recording", other, "--out", out)
    assert result.exit_code == 1 and "another tokenizer" in result.stderr
    assert not out.exists()
