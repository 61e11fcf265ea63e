"""Samples are what an evaluation asks and wants to hear, in an order that can be resumed."""

import json
from itertools import islice
from pathlib import Path

import pytest

from tests.tiny_model import tiny_gguf
from tiercel.errors import InvalidRequest
from tiercel.models.resolve import resolve
from tiercel.specialisation.samples import Sample, batches, sample_of, samples_of
from tiercel.specialisation.tasks import TASKS, task_named
from tiercel.tokenizer import Tokenizer
from tiercel.types import Message


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return resolve(str(tiny_gguf(tmp_path_factory.mktemp("tiny")))).read_tokenizer()


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_an_answer_ends_its_turn_and_the_prompt_is_the_evaluations_own(tokenizer: Tokenizer):
    asked = [Message("user", "the one")]
    sample = sample_of(tokenizer, asked, "on the other")
    assert list(sample.prompt_ids) == tokenizer.render(asked)
    *text, end = sample.answer_ids
    assert tokenizer.decode(text) == "on the other" and end in tokenizer.eos_ids
    assert not set(text) & tokenizer.eos_ids


def test_an_answer_that_holds_an_end_of_turn_ends_behind_it(tokenizer: Tokenizer):
    sample = sample_of(tokenizer, [Message("user", "a")], "b<|im_end|>c")
    assert tokenizer.decode(sample.answer_ids[:-1]) == "b<|im_end|>c"


def test_worked_answers_are_learned_whole(tokenizer: Tokenizer, tmp_path: Path):
    row = {"id": "1", "prompt": "How many?", "reference": "5", "meta": {"solution": "2 + 3 = 5"}}
    path = write(tmp_path / "gsm8k_train.jsonl", row)
    for name, answer in (
        ("gsm8k_test", "2 + 3 = 5\nThe answer is 5"),
        ("gsm8k_calculations", "2 + 3 = 5"),
        ("nq_open_dev", "5"),
    ):
        task = task_named(name)
        (sample,) = samples_of(task, task.items(path), tokenizer, 400)
        assert tokenizer.decode(sample.answer_ids[:-1]) == answer


def test_every_task_is_asked_as_its_set_is(tokenizer: Tokenizer, tmp_path: Path):
    path = write(tmp_path / "rows.jsonl", {"id": "1", "prompt": "why?", "reference": "so"})
    for name, task in TASKS.items():
        if name == "gsm8k_calculations":
            continue
        (item,) = task.items(path)
        assert "why?" in task.asked_as.messages(item)[0].content
        assert task.asked_as.name == name


def test_rows_of_an_evaluation_are_left_out(tmp_path: Path):
    rows = [{"id": str(n), "prompt": f"prompt {n}", "reference": "x"} for n in range(5)]
    every, held_out = write(tmp_path / "a.jsonl", *rows), write(tmp_path / "b.jsonl", *rows[:3])
    kept = task_named("nq_open_dev").items(every, held_out)
    assert {item.prompt for item in kept} == {"prompt 3", "prompt 4"}
    with pytest.raises(InvalidRequest, match="nothing to learn"):
        task_named("nq_open_dev").items(held_out, every)


def test_a_row_without_what_the_answer_needs_is_refused(tokenizer: Tokenizer, tmp_path: Path):
    task = task_named("gsm8k_test")
    path = write(tmp_path / "rows.jsonl", {"id": "7", "prompt": "why?", "reference": "5"})
    with pytest.raises(InvalidRequest, match="solution"):
        samples_of(task, task.items(path), tokenizer, 100)


def test_samples_that_are_too_long_are_left_out(tokenizer: Tokenizer, tmp_path: Path):
    rows = [{"id": str(n), "prompt": "x" * n, "reference": "y"} for n in (10, 300)]
    task, path = task_named("gsm8k_test"), write(tmp_path / "rows.jsonl", *rows)
    task = task_named("nq_open_dev")
    assert len(samples_of(task, task.items(path), tokenizer, 250)) == 1
    with pytest.raises(InvalidRequest, match="none of 2"):
        samples_of(task, task.items(path), tokenizer, 20)


def test_an_unknown_task_is_refused():
    with pytest.raises(InvalidRequest, match="gsm8k_calculations"):
        task_named("poetry")


def test_an_epoch_holds_each_sample_once_and_its_batches_come_again():
    samples = [Sample((1,) * (number % 7 + 1), (number,)) for number in range(50)]
    every = list(islice(batches(samples, 8, seed=3), 14))
    assert [len(batch) for batch in every[:7]].count(8) == 6
    for epoch in (every[:7], every[7:]):
        assert sorted(one.answer_ids[0] for batch in epoch for one in batch) == list(range(50))
    assert every[:7] != every[7:]
    assert every == list(islice(batches(samples, 8, seed=3), 14))
    assert every != list(islice(batches(samples, 8, seed=4), 14))
