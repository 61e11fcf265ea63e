"""A matrix holds what plain decoding says of every cell, however its runs were cut short."""

import os
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.evaluation.conftest import choices, data_folder, questions
from tests.evaluation.runs import COLUMNS, cells_of, collect, counter
from tiercel import engines
from tiercel.cli.__main__ import app
from tiercel.decoding import Vocabulary, choose, logprobs
from tiercel.engines.language_model import Step
from tiercel.errors import InvalidRequest, Unsupported
from tiercel.evaluation.answering import sample_seed
from tiercel.evaluation.matrix import only_run
from tiercel.evaluation.pilot import PILOT_PROMPTS
from tiercel.evaluation.sets import SETS
from tiercel.tiers import load
from tiercel.types import SamplingParams

NUM_QUESTIONS, NUM_CHOICES = 50, 45


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    return data_folder(
        folder, nq_open_dev=questions(NUM_QUESTIONS), openbookqa_test=choices(NUM_CHOICES)
    )


@pytest.fixture(scope="module")
def whole(ladder: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A matrix that was collected in one run."""
    out = tmp_path_factory.mktemp("whole")
    collect(ladder, data, out)
    return out


def assert_equal(matrix: Path, other: Path) -> None:
    """Compare all that two matrices hold but the wall seconds."""
    cells, others = cells_of(matrix), cells_of(other)
    assert cells.keys() == others.keys()
    for cell, one in cells.items():
        for field in fields(one):
            if field.name != "seconds":
                value, expected = getattr(one, field.name), getattr(others[cell], field.name)
                assert np.array_equal(value, expected), (cell, field.name)


def test_every_cell_is_there_once(whole: Path):
    asked = {column: [cell for cell in cells_of(whole) if cell[0] == column] for column in COLUMNS}
    assert len(asked["small"]) == len(asked["large"]) == NUM_QUESTIONS + NUM_CHOICES
    num_sampled = min(NUM_QUESTIONS, SETS["nq_open_dev"].num_sampled)
    assert len(asked["small; temperature=0.7"]) == 2 * num_sampled


def test_samples_are_paired_and_reproducible(ladder: Path, data: Path, tmp_path: Path):
    columns = [f"{tier}; temperature=0.7" for tier in ("small", "large")]
    collect(ladder, data, tmp_path / "one", columns=columns, limit=3)
    collect(ladder, data, tmp_path / "two", columns=columns, limit=3, batch=1)
    assert_equal(tmp_path / "one", tmp_path / "two")
    cells = cells_of(tmp_path / "one")
    assert len(cells) == 2 * 3 * 2
    for (column, *cell), one in cells.items():
        other = cells[(columns[1 - columns.index(column)], *cell)]
        assert one.seed == other.seed and one.token_ids != other.token_ids
    assert len({one.seed for one in cells.values()}) == 3 * 2


@pytest.mark.parametrize("column", ["large", "small; temperature=0.7"])
def test_an_answer_is_that_of_plain_decoding(ladder: Path, data: Path, tmp_path: Path, column: str):
    collect(ladder, data, tmp_path, columns=[column], limit=2)
    tier = load(ladder).tiers[column.partition(";")[0]]
    model, tokenizer = engines.load(tier.engine, tier.model, dtype=tier.dtype, threads=1)
    ids = range(model.description.vocab_size)
    vocabulary = Vocabulary.of([tokenizer.token_bytes(id) for id in ids])
    asked = SETS["nq_open_dev"]
    items = {item.id: item for item in asked.read(data).items}
    texts = [one for cell, one in cells_of(tmp_path).items() if cell[1] == "nq_open_dev"]
    assert texts
    for one in texts:
        item = items[one.prompt_id]
        params = SamplingParams()
        if "temperature" in column:
            params = SamplingParams(0.7, seed=sample_seed(item, one.sample))
        prompt = tokenizer.render(asked.messages(item))
        cache, offset, tokens = model.open(), 0, prompt
        for place, token_id in enumerate(one.token_ids):
            (logits,) = model.extend([Step(cache, tokens, 1)])
            assert choose(logits[0], params, vocabulary, offset) == token_id
            known = logprobs(logits[0], token_id, 2)
            entropy = entropy_of(logits[0])
            assert one.logprobs[place] == pytest.approx(known.logprob, rel=2e-3, abs=2e-3)
            margin = known.top[0][1] - known.top[1][1]
            assert one.margins[place] == pytest.approx(margin, rel=2e-3, abs=2e-3)
            assert one.entropies[place] == pytest.approx(entropy, rel=2e-3, abs=2e-3)
            offset, tokens = vocabulary.advance(offset, [token_id]), [token_id]
        cache.close()
        assert one.counts == {
            f"passes.{column.partition(';')[0]}": len(one.token_ids) - 1,
            f"prompt_tokens.{column.partition(';')[0]}": len(prompt),
        }
        ended = one.token_ids[-1] in tokenizer.eos_ids
        assert one.finish.value == ("stop_token" if ended else "length")
        assert ended or len(one.token_ids) == asked.max_new_tokens
    model.close()


def entropy_of(logits: np.ndarray) -> float:
    exact = logits.astype(np.float64) - float(logits.max())
    probs = np.exp(exact) / np.exp(exact).sum()
    return float(-(probs * np.log(probs)).sum())


def test_a_letter_is_read_from_one_pass(ladder: Path, data: Path, whole: Path):
    tier = load(ladder).tiers["large"]
    model, tokenizer = engines.load(tier.engine, tier.model, dtype=tier.dtype, threads=1)
    asked = SETS["openbookqa_test"]
    for item in asked.read(data).items[:5]:
        one = cells_of(whole)[("large", asked.name, item.id, 0)]
        letters = "ABC"[: len(one.choice_logprobs)]
        assert f"\n{letters[-1]}. " in item.prompt and len(one.token_ids) == 1
        cache = model.open()
        (logits,) = model.extend([Step(cache, tokenizer.render(asked.messages(item)), 1)])
        known = [logprobs(logits[0], tokenizer.encode(one)[0], 0).logprob for one in letters]
        assert one.choice_logprobs == pytest.approx(known, rel=2e-3)
        said = letters[int(np.argmax(known))]
        assert tokenizer.decode(one.token_ids) == said
        assert one.scores["exact"] == float(said == item.reference)
        cache.close()
    model.close()


def test_a_killed_run_goes_on_where_it_was(ladder: Path, data: Path, whole: Path, tmp_path: Path):
    num_outcomes = 200
    command = [sys.executable, "-m", "tests.evaluation.runs", str(ladder), str(data)]
    cache = str(ladder.parent / "cache")
    killed = subprocess.run(
        [*command, str(tmp_path), str(num_outcomes)],
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"TIERCEL_CACHE": cache},
    )
    assert killed.returncode == -signal.SIGKILL
    again = 0

    def progress(count: int) -> None:
        nonlocal again
        again += count

    collect(ladder, data, tmp_path, progress=progress)
    assert_equal(tmp_path, whole)
    # At most sixteen outcomes were not written yet, and none of the others is asked again.
    assert len(cells_of(whole)) - num_outcomes <= again < len(cells_of(whole)) - num_outcomes + 16


def test_what_is_answered_when_a_run_is_interrupted_is_kept(
    ladder: Path, data: Path, whole: Path, tmp_path: Path
):
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(ladder, data, tmp_path, progress=counter(23, interrupt))
    assert len(cells_of(tmp_path)) == 23
    collect(ladder, data, tmp_path)
    assert_equal(tmp_path, whole)


def test_when_time_is_up_no_prompt_is_begun_and_those_begun_are_ended(
    ladder: Path, data: Path, tmp_path: Path
):
    told: list[int] = []
    collect(ladder, data, tmp_path, progress=told.append, is_over=lambda: len(told) >= 10)
    assert 10 <= len(cells_of(tmp_path)) == len(told) <= 10 + 4  # the pass's other sequences


def test_a_finished_matrix_is_not_asked_again(ladder: Path, data: Path, whole: Path):
    def refuse(count: int) -> None:
        raise AssertionError("an outcome was collected twice")

    collect(ladder, data, whole, progress=refuse)


def test_no_text_is_stored(data: Path, whole: Path):
    stored = b"".join(path.read_bytes() for path in whole.rglob("*") if path.is_file())
    assert b"what follows" not in stored and b"which of" not in stored
    assert b"nq_open_dev-7" in stored


def test_other_data_are_refused(ladder: Path, data: Path, whole: Path, tmp_path: Path):
    changed = data_folder(tmp_path / "data", nq_open_dev=questions(NUM_QUESTIONS + 1))
    with pytest.raises(InvalidRequest, match="data_digest"):
        collect(ladder, changed, whole)


def test_another_model_under_the_same_name_is_refused(ladder: Path, data: Path, tmp_path: Path):
    collect(ladder, data, tmp_path / "out", columns=["small"], limit=1)
    text = ladder.read_text()
    swapped = tmp_path / "swapped.toml"
    swapped.write_text(
        text.replace("[tiers.small]", "[tiers.x]")
        .replace("large", "small")
        .replace("[tiers.x]", "[tiers.large]")
    )
    with pytest.raises(InvalidRequest, match="tiers"):
        collect(swapped, data, tmp_path / "out", columns=["small"], limit=2)


def test_a_column_of_several_tiers_is_refused(ladder: Path, data: Path, tmp_path: Path):
    with pytest.raises(Unsupported, match="single tiers"):
        collect(ladder, data, tmp_path, columns=["large <- small:4"], limit=1)


def test_two_runs_do_not_share_a_folder(ladder: Path, data: Path, tmp_path: Path):
    with only_run(tmp_path), pytest.raises(InvalidRequest, match="another run"):
        only_run(tmp_path)


def test_the_command_collects_and_shows(
    ladder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("os.nice", lambda by: 0)
    restored = signal.getsignal(signal.SIGTERM)
    asked = ["--data", str(data), "--out", str(tmp_path), "--config", str(ladder)]
    asked += ["--set", "nq_open_dev", "--set", "openbookqa_test", "--samples", "2"]
    try:
        done = CliRunner().invoke(app, ["eval", "collect", *asked])
    finally:
        signal.signal(signal.SIGTERM, restored)
    assert done.exit_code == 0, done.output
    shown = CliRunner().invoke(app, ["eval", "show", "--out", str(tmp_path)]).stdout
    head, *lines = [line.split() for line in shown.splitlines() if line][1:]
    assert head[:3] == ["set", "column", "metric"]
    assert [line[:3] for line in lines] == [
        ["nq_open_dev", "large", "f1"],
        ["nq_open_dev", "small", "f1"],
        ["openbookqa_test", "large", "exact"],
        ["openbookqa_test", "small", "exact"],
    ]
    counts = {line[0]: line[5] for line in lines}
    assert counts == {"nq_open_dev": str(NUM_QUESTIONS), "openbookqa_test": str(NUM_CHOICES)}
    assert "cut: the best tier scores" in shown
    assert min(NUM_QUESTIONS, NUM_CHOICES) > PILOT_PROMPTS
