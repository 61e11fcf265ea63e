"""Tiers beside the ladder, and answers that a smaller model is to learn."""

import json
import re
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.evaluation.conftest import data_folder, questions
from tests.evaluation.runs import cells_of
from tests.tiny_model import tiny_gguf
from tiercel.cli.__main__ import app
from tiercel.errors import InvalidRequest
from tiercel.evaluation.items import Item
from tiercel.evaluation.lessons import is_right
from tiercel.evaluation.pilot import read_pilot
from tiercel.evaluation.sets import SETS
from tiercel.evaluation.specialists import with_specialists
from tiercel.models.resolve import resolve
from tiercel.specialisation.samples import samples_of
from tiercel.specialisation.tasks import task_named

SECTION = """[tiers.answerer]
service = "verifier"
engine = "native"
dtype = "int8"
model = "{model}"
addresses = ["localhost:50099"]
"""


@pytest.fixture(autouse=True)
def polite(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.nice", lambda by: 0)
    restored = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, restored)


@pytest.fixture
def specialists(tmp_path: Path) -> Path:
    path = tmp_path / "specialists.toml"
    path.write_text(SECTION.format(model=tiny_gguf(tmp_path, 7)))
    return path


def test_specialists_are_columns_that_the_pilot_does_not_compare(
    ladder: Path, specialists: Path, tmp_path: Path
):
    data, out = data_folder(tmp_path / "data", nq_open_dev=questions(3)), tmp_path / "out"
    asked = ["--data", str(data), "--out", str(out), "--config", str(ladder)]
    asked += ["--specialists", str(specialists), "--set", "nq_open_dev", "--samples", "0"]
    done = CliRunner().invoke(app, ["eval", "collect", *asked])
    assert done.exit_code == 0, done.output
    assert {key[0] for key in cells_of(out)} == {"small", "large", "answerer"}
    assert list(read_pilot(out).sets["nq_open_dev"].tiers) == ["small", "large"]


def test_a_file_of_specialists_names_new_tiers_and_nothing_else(ladder: Path, tmp_path: Path):
    path = tmp_path / "further.toml"
    for text, why in [
        (SECTION.replace("answerer", "large"), "is a tier of the ladder"),
        ('default_plan = "x"\n' + SECTION, "only"),
        ("[tiers", "further.toml"),
    ]:
        path.write_text(text)
        with pytest.raises(InvalidRequest, match=why):
            with_specialists(ladder, path)
    assert len(with_specialists(ladder, None)[1]) == 2


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    rows = [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
    return {row["id"]: row for row in rows}


def test_answers_become_lessons(chained: Path, tmp_path: Path):
    data = data_folder(tmp_path / "data", nq_open_dev=questions(20)) / "nq_open_dev.jsonl"
    kept = data_folder(tmp_path / "kept", nq_open_dev=questions(4)) / "nq_open_dev.jsonl"
    out = tmp_path / "lessons.jsonl"
    # So hot that any token may follow, an end too, as it never does otherwise.
    asked = ["--data", str(data), "--asked-as", "nq_open_dev", "--leave-out", str(kept)]
    asked += ["--config", str(chained), "--column", "large; temperature=100", "--out", str(out)]
    whole = CliRunner().invoke(app, ["eval", "answers", *asked])
    assert whole.exit_code == 0, whole.output
    rows = rows_of(out)
    assert f"{len(rows)} answers" in whole.stderr and f"{16 - len(rows)} were cut" in whole.stderr
    assert 0 < len(rows) < 16 and not {f"nq_open_dev-{at}" for at in range(4)} & rows.keys()
    out.write_bytes(out.read_bytes()[:-5])  # as after a kill
    again = CliRunner().invoke(app, ["eval", "answers", *asked])
    assert again.exit_code == 0, again.output
    assert rows_of(out) == rows
    id, row = next(iter(rows.items()))
    assert row["prompt"].startswith("Answer the question")
    assert f"what follows {id.rpartition('-')[2]}?" in row["prompt"]
    task = task_named("instructions")
    items = task.items(out)
    tokenizer = resolve(str(tiny_gguf(tmp_path, 7))).read_tokenizer()
    samples = samples_of(task, items, tokenizer, 512)
    item = items[0]
    assert tokenizer.decode(samples[0].prompt_ids).count(item.prompt) == 1
    assert item.reference in tokenizer.decode(samples[0].answer_ids)


def test_letters_are_no_lessons(chained: Path, tmp_path: Path):
    data = data_folder(tmp_path / "data", openbookqa_test=[{"prompt": "?", "reference": "A"}])
    asked = ["--data", str(data / "openbookqa_test.jsonl"), "--asked-as", "openbookqa_test"]
    asked += ["--config", str(chained), "--column", "large", "--out", str(tmp_path / "out")]
    refused = CliRunner().invoke(app, ["eval", "answers", *asked])
    assert refused.exit_code == 1 and "are letters" in refused.stderr


def test_only_right_answers_are_lessons_where_that_is_asked(chained: Path, tmp_path: Path):
    item = Item("gsm8k_test", "1", "how many?", "5")
    assert is_right(SETS["gsm8k_test"], item, "2 + 3 = 5\nThe answer is 5.")
    assert not is_right(SETS["gsm8k_test"], item, "2 + 4 = 6\nThe answer is 6.")
    data = data_folder(tmp_path / "data", nq_open_dev=questions(12)) / "nq_open_dev.jsonl"
    asked = ["--data", str(data), "--config", str(chained), "--out", str(tmp_path / "out.jsonl")]
    asked += ["--column", "large; temperature=100", "--right"]
    done = CliRunner().invoke(app, ["eval", "answers", *asked, "--asked-as", "nq_open_dev"])
    assert done.exit_code == 0, done.output
    cut, wrong = map(int, re.findall(r"(\d+) were", done.stderr))
    assert "0 answers" in done.stderr and cut + wrong == 12 and wrong > 0
    refused = CliRunner().invoke(app, ["eval", "answers", *asked, "--asked-as", "instructions"])
    assert refused.exit_code == 1 and "which of its answers are right" in refused.stderr


def test_instructions_may_be_asked_as_they_stand(chained: Path, tmp_path: Path):
    data = data_folder(tmp_path / "data", nq_open_dev=questions(3)) / "nq_open_dev.jsonl"
    asked = ["--data", str(data), "--config", str(chained), "--out", str(tmp_path / "out.jsonl")]
    asked += ["--column", "large; temperature=100", "--asked-as", "instructions"]
    done = CliRunner().invoke(app, ["eval", "answers", *asked])
    assert done.exit_code == 0, done.output
    rows = rows_of(tmp_path / "out.jsonl")
    assert rows and all(row["prompt"].startswith("what follows") for row in rows.values())
