"""A matrix holds what plain decoding says of every cell, and no texts."""

import signal
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.evaluation.conftest import NUM_CHOICES, NUM_QUESTIONS
from tests.evaluation.runs import COLUMNS, assert_equal, cells_of, collect
from tiercel import engines
from tiercel.cli.__main__ import app
from tiercel.decoding import Vocabulary, choose, logprobs
from tiercel.engines.language_model import Step
from tiercel.evaluation.answering import sample_seed
from tiercel.evaluation.pilot import PILOT_PROMPTS
from tiercel.evaluation.sets import SETS
from tiercel.tiers import load
from tiercel.types import SamplingParams


def test_every_cell_is_there_once(whole: Path):
    asked = {column: [cell for cell in cells_of(whole) if cell[0] == column] for column in COLUMNS}
    assert len(asked["small"]) == len(asked["large"]) == NUM_QUESTIONS + NUM_CHOICES
    num_sampled = min(NUM_QUESTIONS, SETS["nq_open_dev"].num_sampled)
    assert len(asked["small; temperature=0.7"]) == 2 * num_sampled


def test_samples_are_paired_and_reproducible(ladder: Path, data: Path, tmp_path: Path):
    columns = [f"{tier}; temperature=0.7" for tier in ("small", "large")]
    collect(ladder, data, tmp_path / "one", columns=columns, limit=3)
    for count in (1, 2):  # more samples are added to those that are there
        out = tmp_path / "two"
        collect(ladder, data, out, columns=columns, limit=3, batch=1, num_samples=count)
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


def test_no_text_is_stored(data: Path, whole: Path):
    stored = b"".join(path.read_bytes() for path in whole.rglob("*") if path.is_file())
    assert b"what follows" not in stored and b"which of" not in stored
    assert b"nq_open_dev-7" in stored


def test_the_command_collects_and_shows(
    ladder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("os.nice", lambda by: 0)
    restored = signal.getsignal(signal.SIGTERM)
    asked = ["--data", str(data), "--out", str(tmp_path), "--config", str(ladder)]
    asked += ["--set", "nq_open_dev", "--set", "openbookqa_test", "--samples", "2"]
    try:
        piloted = CliRunner().invoke(app, ["eval", "collect", *asked, "--pilot"])
        done = CliRunner().invoke(app, ["eval", "collect", *asked])
    finally:
        signal.signal(signal.SIGTERM, restored)
    assert piloted.exit_code == done.exit_code == 0, done.output
    rows = [line.split()[:3] for line in piloted.stdout.splitlines() if line.startswith("nq_")]
    assert rows == [["nq_open_dev", "f1", "small"], ["nq_open_dev", "f1", "large"]]
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
