"""Results outlive a kill, are taken up by the same fusion only, and are summed up right."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fusion.hashed_model import HashedModel
from tests.tiny_model import tiny_gguf
from tiercel.errors import InvalidRequest, TokenizerMismatch
from tiercel.evaluation.fusion.experiment import Experiment, Pair
from tiercel.evaluation.fusion.methods import averaged, draft_alone, target_alone
from tiercel.evaluation.fusion.results import Result, ResultFile, read_results
from tiercel.evaluation.fusion.summary import paired_gain, rows_of
from tiercel.evaluation.items import Item
from tiercel.evaluation.sets import SETS, EvaluationSet
from tiercel.models.resolve import resolve

ABOUT = {"draft": "one", "target": "other"}


def result(method: str, number: int, score: float) -> Result:
    return Result("numbers", method, f"item {number}", score, 10, 10, 4, 2, 3, 0.5)


def test_results_are_taken_up_again(tmp_path: Path):
    path = tmp_path / "results.jsonl"
    results = [result("a", number, 1.0) for number in range(3)]
    file = ResultFile(path, ABOUT)
    for one in results:
        file.add(one)
    assert ResultFile(path, ABOUT).results == read_results(path) == results


def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path: Path):
    path = tmp_path / "results.jsonl"
    ResultFile(path, ABOUT).add(result("a", 0, 1.0))
    whole = path.read_text()
    path.write_text(whole + whole.splitlines()[1][:20])
    file = ResultFile(path, ABOUT)
    assert len(file.results) == 1
    file.add(result("a", 1, 0.0))
    assert [one.item_id for one in read_results(path)] == ["item 0", "item 1"]


def test_other_models_need_another_file(tmp_path: Path):
    ResultFile(tmp_path / "results.jsonl", ABOUT)
    with pytest.raises(InvalidRequest, match="made with 'other'"):
        ResultFile(tmp_path / "results.jsonl", ABOUT | {"target": "third"})


def test_no_results_are_refused(tmp_path: Path):
    with pytest.raises(InvalidRequest, match="no results"):
        read_results(tmp_path / "none.jsonl")


def test_the_gain_is_over_items_that_both_answered():
    results = [result("target", number, float(number < 2)) for number in range(4)]
    results += [result("fused", number, 1.0) for number in range(3)]
    fused, target = rows_of(results, lambda method: "target")
    assert (target.accuracy.mean, fused.accuracy.mean) == (0.5, 1.0)
    assert target.gain is not None and target.gain.mean == 0.0
    assert fused.gain is not None and fused.gain.count == 3
    assert fused.gain.mean == pytest.approx(1 / 3)
    assert (fused.share_replaced, fused.draft_passes, fused.target_passes) == (0.2, 1.0, 0.4)
    assert fused.tokens_per_s == pytest.approx(20)


def test_rows_over_all_sets_follow_where_there_are_several():
    numbers = [result("target", number, float(number < 3)) for number in range(4)]
    words = [replace(one, set_name="words", item_id=f"word {one.item_id}") for one in numbers]
    words[0] = replace(words[0], score=0.0)

    def rows(results: list[Result]) -> list[tuple[str, float]]:
        found = rows_of(results, lambda method: "target")
        return [(row.set_name, row.accuracy.mean) for row in found]

    assert rows([*numbers, *words]) == [("numbers", 0.75), ("words", 0.5), ("all sets", 0.625)]
    assert rows([*numbers, *words[:3]])[-1][0] == "words", "sets weigh the same or not at all"
    assert rows(numbers) == [("numbers", 0.75)]


def test_a_gain_of_paired_scores_is_narrower_than_its_parts():
    ours, theirs = [1.0] * 50 + [0.0] * 50, [1.0] * 40 + [0.0] * 60
    gain = paired_gain(ours, theirs)
    unpaired = paired_gain(ours, theirs[::-1])
    assert gain.mean == pytest.approx(0.1) and gain.low > 0.03
    assert unpaired.mean == pytest.approx(0.1) and unpaired.low < 0


NUMBERS = EvaluationSet("numbers", "math", "number", "{prompt}", 6, 10)
METHODS = {"draft": draft_alone, "target": target_alone, "average": averaged}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    return resolve(str(tiny_gguf(tmp_path_factory.mktemp("tiny")))).read_tokenizer()


def test_an_experiment_goes_on_where_it_stopped(tmp_path: Path, tokenizer):
    items = [Item("numbers", f"item {n}", f"what is {n}", str(n)) for n in range(4)]
    pair = Pair(HashedModel(1), HashedModel(2), tokenizer)
    path = tmp_path / "results.jsonl"
    first = Experiment(pair, METHODS, ResultFile(path, ABOUT))
    first.run(NUMBERS, items[:2], batch=2)
    second = Experiment(pair, METHODS, ResultFile(path, ABOUT))
    assert (second.num_left(NUMBERS, items[:2]), second.num_left(NUMBERS, items)) == (0, 6)
    asked: list[str] = []
    second.run(NUMBERS, items, 3, asked.append)
    assert sorted(asked) == sorted([*METHODS] * 2)
    again = Experiment(pair, METHODS, ResultFile(tmp_path / "other.jsonl", ABOUT))
    again.run(NUMBERS, items, batch=1)
    parts, whole = read_results(path), read_results(tmp_path / "other.jsonl")
    assert sorted(map(without_time, parts)) == sorted(map(without_time, whole))


def without_time(one: Result) -> tuple[object, ...]:
    return (one.method, one.item_id, one.score, one.num_tokens, one.num_draft_passes)


def test_a_set_of_letters_is_refused(tmp_path: Path, tokenizer):
    pair = Pair(HashedModel(1), HashedModel(2), tokenizer)
    experiment = Experiment(pair, METHODS, ResultFile(tmp_path / "results.jsonl", ABOUT))
    with pytest.raises(InvalidRequest, match="letters"):
        experiment.run(SETS["mmlu_test"], [], batch=1)


def test_models_of_different_tokenizers_are_no_pair(tmp_path: Path, tokenizer):
    other = resolve(str(tiny_gguf(tmp_path, architecture="qwen2"))).read_tokenizer()
    assert Pair.of((HashedModel(1), tokenizer), (HashedModel(2), tokenizer))
    if other.fingerprint == tokenizer.fingerprint:
        other.fingerprint = "other"
    with pytest.raises(TokenizerMismatch):
        Pair.of((HashedModel(1), tokenizer), (HashedModel(2), other))
