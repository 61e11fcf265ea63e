"""Recorded answers drafted again: against answers counted by hand, and by the command."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bench import draft_replay
from bench.draft_replay import Recorded, Tally, by_kind, cost_of_a_pass, replay
from tests.distillation.conftest import data_folder, record
from tests.engines.ngram_tables import saved
from tests.tiny_model import tiny_gguf
from tiercel import engines
from tiercel.distillation.prompts import read_data
from tiercel.engines.combined import CombinedDrafter
from tiercel.engines.guesses import Guess
from tiercel.engines.suffix import SuffixIndex


class Knowing:
    """Guesses a given text, with a wrong token at some places."""

    name = "knowing"

    def __init__(self, text: Sequence[int], wrong: Sequence[int] = ()) -> None:
        self._text = [-1 if place in wrong else token for place, token in enumerate(text)]
        self._tokens: list[int] = []

    def append(self, tokens: Sequence[int]) -> None:
        self._tokens += tokens

    def truncate(self, length: int) -> None:
        del self._tokens[length:]

    def guess(self) -> Guess | None:
        place = len(self._tokens)
        return Guess(self._text[place], 0.9) if place < len(self._text) else None


PROMPT, ANSWER = [1, 2], tuple(range(10, 21))


def tally(*wrong: int, max_tokens: int = 4, min_confidence: float = 0.0) -> Tally:
    drafter = CombinedDrafter(Knowing([*PROMPT, *ANSWER], wrong))
    recorded = Recorded("chat", PROMPT, ANSWER)
    return replay(recorded, drafter, max_tokens=max_tokens, min_confidence=min_confidence)


def test_all_drafts_are_accepted_when_they_are_the_answer():
    found = tally()
    assert found.num_tokens == 10  # the first token is none of decoding's
    assert found.widths == {5: 2}  # four drafted and a bonus token, twice
    assert (found.accepted, found.rejected) == ({"knowing": 8}, {})
    assert found.tokens_per_pass == 5
    assert found.speed_up(lambda width: 1 + 0.1 * (width - 1)) == pytest.approx(10 / 2.8)


def test_a_wrong_token_costs_the_rest_of_its_draft():
    found = tally(5)  # the answer's fourth token, the third that is drafted
    # 11 and 12 accepted, 13 recovered; then 14 to 17 and 18; then 19, and 20 as the bonus.
    assert found.widths == {5: 2, 2: 1}
    assert (found.accepted, found.rejected) == ({"knowing": 7}, {"knowing": 1})
    assert found.num_tokens == 10


def test_drafts_end_at_the_confidence_and_without_drafts_it_is_plain_decoding():
    assert tally(min_confidence=0.8).widths == {3: 3, 1: 1}
    assert tally(min_confidence=0.85).widths == {2: 5}
    assert tally(min_confidence=0.95).widths == {1: 10}
    assert tally(min_confidence=0.95).speed_up(lambda width: 7.0 * width) == 1


def test_kinds_add_up():
    texts = [Recorded("a", [1, 2, 3, 1, 2], (3, 1, 2, 3)), Recorded("b", [5, 5, 5], (5, 5, 6))]
    found = by_kind(texts, lambda: CombinedDrafter(SuffixIndex()), max_tokens=4, min_confidence=0.0)
    assert set(found) == {"all", "a", "b"}
    assert found["all"].num_tokens == 5
    assert found["all"].widths == found["a"].widths + found["b"].widths


def test_measured_passes_are_the_cost(tmp_path: Path):
    file = tmp_path / "passes.json"
    file.write_text('{"pass_ms": {"1": 4.0, "3": 8.0}}')
    assert [cost_of_a_pass(file, 0.0)(width) for width in (1, 2, 3, 9)] == [4, 6, 8, 8]
    assert cost_of_a_pass(None, 0.25)(5) == 2


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("TIERCEL_CACHE", str(tmp_path / "cache"))
    file = str(tiny_gguf(tmp_path))
    target = engines.load("onnx", file, dtype="fp32", threads=1)
    data = data_folder(tmp_path / "data", chat=[f"say {n}" for n in range(4)], code=["write it"])
    record(target, tmp_path / "out", read_data(data).prompts, num_tokens=110, temperature=0.0)
    target[0].close()
    return ["--recording", str(tmp_path / "out"), "--data", str(data), "--model", file]


def run(arguments: list[str]):
    app = typer.Typer()
    app.command()(draft_replay.main)
    return CliRunner().invoke(app, arguments)


def test_the_command_prints_kinds_and_sources(arguments: list[str]):
    result = run([*arguments, "--confidence", "0.1"])
    assert result.exit_code == 0, result.output
    assert "chat task" in result.stdout and "code task" in result.stdout
    assert "suffix" in result.stdout and "both" not in result.stdout


def test_a_table_of_another_tokenizer_is_refused(arguments: list[str], tmp_path: Path):
    table = saved(tmp_path / "table", [[1, 2, 3]] * 9)
    assert "another tokenizer" in str(run([*arguments, "--ngram", str(table)]).exception)


def test_other_prompts_than_the_recorded_are_refused(arguments: list[str], tmp_path: Path):
    data_folder(tmp_path / "data", chat=["other"] * 4, code=["write it"])
    assert "recorded from" in str(run(arguments).exception)
