"""A sheet shows pairs and not whose they are; what is chosen comes back as preferences."""

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.evaluation.conftest import data_folder, questions
from tests.evaluation.runs import collect
from tiercel.cli.__main__ import app
from tiercel.errors import InvalidRequest
from tiercel.evaluation.items import Item
from tiercel.evaluation.judging.pairs import Pair, blinded_pairs
from tiercel.evaluation.judging.ratings import (
    Ratings,
    SheetKey,
    preferences_of,
    read_preferences,
    read_record,
)
from tiercel.evaluation.judging.sheet import sheet_of
from tiercel.evaluation.judging.texts import Answered, AnswerText
from tiercel.evaluation.matching.stored import answer_hash
from tiercel.evaluation.matrix import read_matrix

SET = "nq_open_dev"
HOSTILE = (
    'a </div></section><script>alert(1)</script> &amp; <b>"quoted"</b> {pairs} {sheet}',
    "<img src=x onerror='steal()'> <!-- never closed",
)


class Page(HTMLParser):
    """The texts of a page's answers and prompts, and all its tags."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[tuple[str, str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        what = found.get("data-side") or found.get("class") or ""
        self._open = what if what in ("left", "right", "prompt") else ""
        if self._open:
            self.texts.append((what, ""))

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            what, before = self.texts[-1]
            self.texts[-1] = (what, before + data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def a_prompt(at: int, columns: int = 2) -> Answered:
    names = [f"column-{number}" for number in range(columns)]
    answers = tuple(AnswerText(name, f"{name[-1]} says {at}", at) for name in names)
    return Answered(Item(SET, f"id-{at}", f"what of {at}?", ""), answers)


def test_texts_are_shown_as_they_are_and_nothing_of_them_is_run():
    item = Item(SET, "secret-id", "Is <i>1 < 2</i> & so on?", "")
    left, right = (AnswerText(f"secret-{at}", text, at) for at, text in enumerate(HOSTILE))
    page, key = sheet_of([Pair(item, left, right), Pair(item, right, left)])
    parsed = Page(page)
    own = [("prompt", item.prompt), ("left", HOSTILE[0]), ("right", HOSTILE[1])]
    assert parsed.texts == [*own, own[0], ("left", HOSTILE[1]), ("right", HOSTILE[0])]
    assert parsed.count("script") == 1 and not parsed.count("img") and not parsed.count("b")
    assert parsed.count("section") == 2 and parsed.count("input") == 2 * 3 + 1
    assert "secret" not in page and str(item.prompt_hash) not in page
    assert dict(parsed.tags)["body"] == {"data-sheet": key.sheet}
    # The parser would tell: unescaped, the first answer makes a script of its own.
    assert Page(page.replace("&lt;", "<").replace("&gt;", ">")).count("script") > 1


def test_the_page_needs_nothing_from_anywhere():
    page, _ = sheet_of([Pair(Item(SET, "x", "p", ""), *a_prompt(1).answers)])
    for _, attributes in Page(page).tags:
        assert not {"src", "href", "srcset", "action", "data"} & attributes.keys()
    assert "//" not in page.replace("// A browser", "") and "url(" not in page
    assert "default-src 'none'" in page


def test_pairs_are_drawn_by_the_seed_and_every_prompt_comes_before_any_comes_twice():
    prompts = [a_prompt(at, columns=3) for at in range(40)]
    pairs = blinded_pairs(prompts, 60, seed=1)
    assert pairs == blinded_pairs(prompts, 60, seed=1) != blinded_pairs(prompts, 60, seed=2)
    assert len({pair.item.id for pair in pairs[:40]}) == 40 and len(pairs) == 60
    assert {pair.left.column for pair in pairs} == {f"column-{at}" for at in range(3)}
    both = blinded_pairs([a_prompt(at) for at in range(200)], 200, seed=3)
    assert 70 <= sum(pair.left.column == "column-0" for pair in both) <= 130


def test_answers_that_are_alike_are_no_pair():
    one = a_prompt(1)
    alike = Answered(one.item, (one.answers[0], AnswerText("other", one.answers[0].text, 9)))
    assert blinded_pairs([alike], 5, seed=0) == []


@pytest.fixture(scope="module")
def collected(chained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("rated")
    data = data_folder(folder / "data", nq_open_dev=questions(6))
    collect(chained, data, folder / "out", columns=["large", "foreign"], limit=4)
    return data, folder / "out"


@pytest.fixture
def rated(collected: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    shutil.copytree(collected[1], tmp_path / "out")
    return collected[0], tmp_path / "out"


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["eval", *map(str, words)])


def sheet(chained: Path, data: Path, out: Path, page: Path, *more: object) -> Result:
    where = ("--data", data, "--matrix", out, "--config", chained, "--out", page)
    return run("sheet", *where, "--set", SET, *more)


def choices_file(path: Path, key: SheetKey, *choices: str) -> Path:
    made = [
        {"pair": pair, "choice": choice, "at": "2026-01-02T03:04:05.678Z"}
        for pair, choice in zip(key.pairs, choices, strict=False)
    ]
    content = {"schema_version": 1, "sheet": key.sheet, "rater": "Ann <a>", "ratings": made}
    path.write_text(json.dumps(content))
    return path


def test_what_is_chosen_comes_back_beside_the_matrix(
    chained: Path, rated: tuple[Path, Path], tmp_path: Path
):
    data, out = rated
    page = tmp_path / "sheet.html"
    done = sheet(chained, data, out, page, "--number", "3", "--seed", "5")
    assert done.exit_code == 0, done.output
    assert "large" not in page.read_text() and "foreign" not in page.read_text()
    assert f"{SET}-" not in page.read_text()
    key_path = tmp_path / "sheet.key.json"
    key = read_record(key_path, SheetKey)
    shown = [text for what, text in Page(page.read_text()).texts if what == "prompt"]
    prompts = {f"{SET}-{at}": row["prompt"] for at, row in enumerate(questions(6))}
    assert shown == [prompts[pair.prompt_id] for pair in key.pairs.values()] and len(shown) == 3
    stored = {
        (cells.manifest.column, one.prompt_id): answer_hash(one)
        for cells in read_matrix(out)
        for one in cells.outcomes
    }
    for pair in key.pairs.values():
        for side in (pair.left, pair.right):
            assert stored[side.column, pair.prompt_id] == side.answer_hash
    file = choices_file(tmp_path / "ratings.json", key, "left", "right", "tie")
    for _ in range(2):  # the second time replaces the first
        taken = run("ratings", file, "--key", key_path, "--out", out)
        assert taken.exit_code == 0, taken.output
    (known,) = read_preferences(out, read_matrix(out))
    assert known.rater == "Ann <a>" and known.sheet == key.sheet
    assert [one.pair for one in known.preferences] == list(key.pairs.values())
    first, second, third = known.preferences
    assert (first.preferred, second.preferred) == (first.pair.left.column, second.pair.right.column)
    assert third.preferred is None and third.at.year == 2026


def test_ratings_of_another_sheet_or_other_answers_are_refused(
    chained: Path, rated: tuple[Path, Path], tmp_path: Path
):
    data, out = rated
    assert sheet(chained, data, out, tmp_path / "s.html").exit_code == 0
    key_path = tmp_path / "s.key.json"
    key = read_record(key_path, SheetKey)
    file = choices_file(tmp_path / "r.json", key, "left")
    content = json.loads(file.read_text())
    for changed, why in (
        ({"sheet": "0" * 16}, "ratings are of sheet"),
        ({"schema_version": 2}, "schema_version"),
        ({"ratings": content["ratings"] * 2}, "twice"),
        ({"ratings": [content["ratings"][0] | {"pair": "pair-99"}]}, "not of the sheet"),
        ({"ratings": [content["ratings"][0] | {"choice": "both"}]}, "choice"),
    ):
        file.write_text(json.dumps(content | changed))
        refused = run("ratings", file, "--key", key_path, "--out", out)
        assert refused.exit_code == 1 and why in refused.stderr, refused.output
    name, pair = next(iter(key.pairs.items()))
    other = pair.model_copy(
        update={"left": pair.left.model_copy(update={"answer_hash": pair.left.answer_hash ^ 1})}
    )
    key_path.write_text(key.model_copy(update={"pairs": {name: other}}).model_dump_json())
    file.write_text(json.dumps(content))
    refused = run("ratings", file, "--key", key_path, "--out", out)
    assert refused.exit_code == 1 and "did not say" in refused.stderr
    assert not (out / "preferences").exists()


def test_a_sheet_of_other_prompts_columns_or_letters_is_refused(
    chained: Path, rated: tuple[Path, Path], tmp_path: Path
):
    data, out = rated
    page = tmp_path / "s.html"
    for words, why in (
        (("--column", "large"), "two columns"),
        (("--column", "large", "--column", "middle"), "must be one of"),
        (("--set", "openbookqa_test"), "no set that is answered with texts"),
    ):
        refused = sheet(chained, data, out, page, *words)
        assert refused.exit_code == 1 and why in refused.stderr, refused.output
    other = data_folder(tmp_path / "data", nq_open_dev=questions(6))
    path = other / f"{SET}.jsonl"
    path.write_text(path.read_text().replace("follows", "precedes"))
    refused = sheet(chained, other, out, page)
    assert refused.exit_code == 1 and "not the prompt that was asked" in refused.stderr
    assert not page.exists()


def test_a_key_of_another_sheet_is_refused_by_the_pure_function_too():
    _, key = sheet_of([Pair(Item(SET, "x", "p", ""), *a_prompt(1).answers)])
    _, other = sheet_of([Pair(Item(SET, "x", "q", ""), *a_prompt(1).answers)])
    assert key.sheet != other.sheet
    chosen = Ratings(schema_version=1, sheet=key.sheet, rater="B", ratings=[])
    assert preferences_of(chosen, key).preferences == []
    with pytest.raises(InvalidRequest, match="key"):
        preferences_of(chosen, other)
