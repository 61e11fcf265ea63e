"""What may be recorded, and in which order."""

import pytest

from tests.distillation.conftest import data_folder
from tiercel.distillation.prompts import Prompt, in_turn, read_data
from tiercel.errors import InvalidRequest

ARTICLE = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


def test_nothing_that_an_evaluation_asks_is_read(tmp_path):
    folder = data_folder(
        tmp_path,
        spec_bench=[f"Summarize: {ARTICLE}", "Who?"],
        qa_test=["What?"],
        news=[f"In short, please: {ARTICLE.title()}!", "another article", "who", "What?"],
    )
    assert [prompt.text for prompt in read_data(folder).prompts] == ["another article"]


def test_a_few_words_in_common_are_no_copy(tmp_path):
    own = "One two three four five six seven eight nine ten eleven twelve, and then on."
    folder = data_folder(tmp_path, spec_bench=[ARTICLE], news=[own])
    assert [prompt.text for prompt in read_data(folder).prompts] == [own]
    assert list(read_data(folder).digests) == ["news"]


def test_a_line_separator_within_a_prompt_ends_no_line(tmp_path):
    folder = tmp_path
    (folder / "own.jsonl").write_text('{"prompt": "a\u2028b"}\n', encoding="utf-8")
    assert [prompt.text for prompt in read_data(folder).prompts] == ["a\u2028b"]


def test_a_bad_line_is_named(tmp_path):
    (tmp_path / "own.jsonl").write_text('{"prompt": "a"}\n{"text": "b"}\n')
    with pytest.raises(InvalidRequest, match=r"own\.jsonl:2"):
        read_data(tmp_path)


def test_a_folder_with_nothing_to_record_is_refused(tmp_path):
    with pytest.raises(InvalidRequest, match=r"no \*\.jsonl"):
        read_data(data_folder(tmp_path, mt_bench=["a"]))


def test_every_beginning_of_the_order_holds_all_kinds_alike():
    prompts = [Prompt("big", row, "maths", f"{row}") for row in range(50)]
    prompts += [Prompt("one", row, "news", f"{row}") for row in range(10)]
    prompts += [Prompt("two", row, "news", f"{row}") for row in range(10)]
    order = in_turn(prompts, seed=0)
    assert sorted(map(str, order)) == sorted(map(str, prompts))
    beginning = order[:20]
    assert [one.kind for one in beginning] == ["maths", "news"] * 10
    assert [one.data_set for one in beginning].count("one") == 5
    assert [one.row for one in order] != [one.row for one in in_turn(prompts, seed=1)]
