"""A judge is asked in both orders; what it likes about a place in the page counts for nothing."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.evaluation.conftest import data_folder, questions
from tests.evaluation.runs import collect
from tests.tiny_model import tiny_gguf
from tiercel.cli.__main__ import app
from tiercel.errors import InvalidRequest
from tiercel.evaluation.evidence import Evidence
from tiercel.evaluation.generation import Generated
from tiercel.evaluation.items import Item
from tiercel.evaluation.judging.question import Contest
from tiercel.evaluation.judging.stories import compare_columns, trial
from tiercel.evaluation.judging.texts import Answered, AnswerText
from tiercel.evaluation.judging.tier_judge import judge
from tiercel.models.resolve import resolve
from tiercel.types import FinishReason


class ScriptedJudge:
    """Says A with the log-odds that a function of both texts gives; answers come backwards."""

    numerics_id, max_length = "none", 2000

    def __init__(self, folder: Path, odds: Callable[[str, str], float]) -> None:
        self.tokenizer = resolve(str(tiny_gguf(folder))).read_tokenizer()
        self.asked: list[tuple[str, str]] = []
        self._odds = odds

    def run(self, requests: Iterable):
        for key, request in reversed(list(requests)):
            text = self.tokenizer.decode(request.prompt_ids)
            first, second = (
                text.split(f"[{side}]\n")[1].split(f"\n[End of {side}]")[0] for side in "AB"
            )
            self.asked.append((first, second))
            odds = [self._odds(first, second), 0.0]
            yield key, Generated((1,), FinishReason.LENGTH, Evidence(), odds, {}, 0.0)


def prefers_good(first: str, second: str) -> float:
    return 2.0 * (first.count("good") - second.count("good"))


def test_every_contest_is_asked_in_both_orders_and_belongs_to_its_verdict(tmp_path: Path):
    scripted = ScriptedJudge(tmp_path, prefers_good)
    contests = [Contest("p {x}", "good {first}", "poor"), Contest("p", "poor", "good good")]
    first, second = judge(scripted, contests)
    assert {*scripted.asked} == {(one.first, one.second) for one in contests} | {
        (one.second, one.first) for one in contests
    }
    assert first.preference == pytest.approx(0.8808, abs=1e-4) and first.is_consistent
    assert second.preference == pytest.approx(0.0180, abs=1e-4) and second.is_consistent


def test_a_judge_that_likes_a_place_prefers_nobody_and_is_not_consistent(tmp_path: Path):
    (verdict,) = judge(ScriptedJudge(tmp_path, lambda a, b: 3.0), [Contest("p", "one", "other")])
    assert verdict.shown_first > 0.9 and verdict.preference == pytest.approx(0.5)
    assert not verdict.is_consistent


def test_texts_that_do_not_fit_are_refused(tmp_path: Path):
    with pytest.raises(InvalidRequest, match="tokens"):
        judge(ScriptedJudge(tmp_path, prefers_good), [Contest("p", "x" * 2000, "y")])


def prompt(at: int, **answers: str) -> Answered:
    meta = {"completions": {"known": "good " * 30}} if at != 3 else {}
    said = tuple(AnswerText(name, text, at) for name, text in answers.items())
    return Answered(Item("writingprompts", f"id-{at}", "Tell.", "", meta), said)


def test_columns_are_held_against_each_other_where_both_answered(tmp_path: Path):
    prompts = [prompt(at, a="good tale", b="tale " * (at + 1)) for at in range(5)]
    prompts += [prompt(6, a="good"), prompt(7, a="good", b="")]
    (found,) = compare_columns(ScriptedJudge(tmp_path, prefers_good), prompts)
    assert (found.author, found.other, found.wins.count, found.wins.mean) == ("a", "b", 5, 1.0)
    assert found.consistent == 1.0 and found.longer == 1 / 5
    assert found.length.win_rate == pytest.approx(0.8808, abs=1e-4)
    assert 0.7 < found.length.controlled < 0.88  # kept from certainty by so few prompts


def test_a_trial_cuts_both_texts_to_as_many_words(tmp_path: Path):
    scripted = ScriptedJudge(tmp_path, prefers_good)
    prompts = [prompt(at, a="poor " * (at + 1)) for at in range(5)]
    (found,) = trial(scripted, prompts, "known", max_words=3)
    assert (found.author, found.other, found.wins.count, found.wins.mean) == ("known", "a", 4, 1.0)
    assert {len(text.split()) for both in scripted.asked for text in both} == {1, 2, 3}
    assert all(len(a.split()) == len(b.split()) for a, b in scripted.asked)
    # One that goes by length alone has nothing to go by.
    (blind,) = trial(ScriptedJudge(tmp_path, lambda a, b: len(a) - len(b)), prompts, "known", 3)
    assert blind.wins.mean == 0.5 and blind.longer == 0.0


def test_a_tier_judges_the_columns_of_a_matrix(
    chained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("os.nice", lambda by: 0)
    rows = [{**row, "prompt": str(at)} for at, row in enumerate(questions(3))]
    data = data_folder(tmp_path / "data", nq_open_dev=rows)
    collect(chained, data, tmp_path / "out", columns=["large", "foreign"])
    where = ["--data", str(data), "--matrix", str(tmp_path / "out"), "--config", str(chained)]
    asked = ["eval", "stories", *where, "--set", "nq_open_dev", "--judge", "middle"]
    done = CliRunner().invoke(app, [*asked, "--json"])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    assert {found["author"], found["other"]} == {"large", "foreign"}
    assert found["wins"]["count"] == 3 and 0 < found["length"]["controlled"] < 1
    refused = CliRunner().invoke(app, [*asked, "--trial", "gpt-4"])
    assert refused.exit_code == 1 and "nothing to compare" in refused.stderr
