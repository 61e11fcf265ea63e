"""What is collected in which order, what the pilot cuts, and how columns are written."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.evaluation.conftest import data_folder, questions
from tiercel.errors import InvalidRequest
from tiercel.evaluation.column import parse_column
from tiercel.evaluation.items import Item, Items, read_items
from tiercel.evaluation.pilot import CUT_PROMPTS, Pilot, SetVerdict, judge
from tiercel.evaluation.schedule import Work
from tiercel.evaluation.sets import SETS, named
from tiercel.evaluation.statistics import estimate

BIG = replace(SETS["gsm8k_test"], name="big", num_prompts=300, num_sampled=60)
LITTLE = replace(SETS["humaneval"], name="little", num_prompts=100, num_sampled=12)


def work(limit: int | None = None) -> Work:
    items = {
        each.name: Items("", tuple(Item(each.name, f"{at}", "?", "") for at in range(250)))
        for each in (BIG, LITTLE)
    }
    columns = [parse_column(text) for text in ("a", "a; temperature=0.7", "b")]
    return Work(columns, (BIG, LITTLE), items, num_samples=5, limit=limit)


def prompts(units, column: str, name: str) -> list[str]:
    chosen = [unit for unit in units if (str(unit.column), unit.set.name) == (column, name)]
    return [item.id for unit in chosen for item in unit.items]


@pytest.mark.parametrize(
    ("column", "name", "count"),
    [("a", "big", 250), ("b", "little", 100), ("a; temperature=0.7", "big", 60)],
)
def test_the_rounds_hold_each_wanted_prompt_once(column: str, name: str, count: int):
    units = list(work().rounds(Pilot()))
    assert prompts(units, column, name) == [str(at) for at in range(count)]
    assert {unit.num_samples for unit in units if unit.column.temperature} == {5}
    assert {unit.num_samples for unit in units if not unit.column.temperature} == {1}


def test_every_beginning_of_the_rounds_holds_equal_shares():
    """Up to a round, and the fraction of a prompt that a share is rounded by."""
    units = list(work().rounds(Pilot()))
    for end in range(1, len(units)):
        shares = [
            len(prompts(units[:end], column, name)) / wanted
            for column, name, wanted in (("a", "big", 250), ("b", "big", 250), ("b", "little", 100))
        ]
        assert max(shares) - min(shares) <= 1 / 12 + 1 / 100


def test_the_pilot_asks_the_greedy_columns_alone():
    units = list(work().pilot())
    assert [str(unit.column) for unit in units] == ["a", "a", "b", "b"]
    assert {len(unit.items) for unit in units} == {40}


def test_a_limit_holds_for_every_set():
    units = [*work(limit=7).pilot(), *work(limit=7).rounds(Pilot())]
    assert {item.id for unit in units for item in unit.items} == {str(at) for at in range(7)}


def test_a_set_that_the_pilot_cuts_keeps_fifty_prompts_and_no_samples():
    cut = SetVerdict(set_digest="", metric="exact", tiers={}, is_cut=True, why="too easy")
    units = list(work().rounds(Pilot(sets={"big": cut})))
    assert len(prompts(units, "a", "big")) == CUT_PROMPTS
    assert prompts(units, "a; temperature=0.7", "big") == []
    assert len(prompts(units, "a", "little")) == 100


@pytest.mark.parametrize(
    ("right", "why"),
    [
        ({"a": 0, "b": 3}, "the best tier scores 0.075, below 0.10"),
        ({"a": 20, "b": 21}, "the tiers differ by 0.025, below 0.05"),
        ({"a": 20, "b": 22}, ""),  # 5 points
        ({"a": 0, "b": 4}, ""),  # 10 %
        ({"a": 30, "b": 4}, ""),  # upside down, but apart
    ],
)
def test_the_pilots_rule(right: dict[str, int], why: str):
    scores = {tier: [1.0] * count + [0.0] * (40 - count) for tier, count in right.items()}
    verdict = judge("digest", "exact", scores)
    assert (verdict.is_cut, verdict.why) == (bool(why), why)
    assert {tier: one.mean for tier, one in verdict.tiers.items()} == {
        tier: count / 40 for tier, count in right.items()
    }


def test_intervals():
    # Wilson's for 5 of 10 and 0 of 10, from the formula by hand.
    half, none = estimate([1.0, 0.0] * 5), estimate([0.0] * 10)
    assert (half.low, half.high) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert (none.low, none.high) == pytest.approx((0.0, 0.2775), abs=1e-4)
    graded = estimate([0.25, 0.5, 0.75] * 30)
    # The standard error is 0.204 / sqrt(90) = 0.0215.
    assert (graded.low, graded.high) == pytest.approx((0.458, 0.542), abs=5e-3)
    assert estimate([0.25, 0.5]) == estimate([0.25, 0.5])
    with pytest.raises(ValueError, match="no scores"):
        estimate([])


@pytest.mark.parametrize(
    "text",
    [
        "qwen-0.5b",
        "qwen-0.5b; temperature=0.7",
        "qwen-0.5b; temperature=0.7; votes=4",
        "qwen-1.5b <- qwen-0.5b:4; rule=lenient; strictness=0.5",
    ],
)
def test_a_column_is_written_as_it_is_read(text: str):
    column = parse_column(text)
    assert str(column) == text
    assert column.is_one_tier == ("votes" not in text and "<-" not in text)
    assert "/" not in column.folder_name and " " not in column.folder_name


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a; heat=1", "no setting"),
        ("a; temperature", "no setting"),
        ("a; temperature=1; temperature=2", "no setting"),
        ("a; temperature=hot", "could not convert"),
        ("a; strictness=2", "strictness is from 0 to 1"),
        ("a; strictness=0.5", "exact has strictness 1"),
        ("a <- b; rule=best", "no rule"),
        ("a; votes=4", "all alike"),
        ("a <-", "expected the name"),
    ],
)
def test_a_column_that_cannot_be_is_refused(text: str, why: str):
    with pytest.raises(InvalidRequest, match=why):
        parse_column(text)


def test_the_order_of_a_set_does_not_depend_on_the_file(tmp_path: Path):
    rows = questions(30)
    forward = data_folder(tmp_path, a=rows)
    lines = (forward / "a.jsonl").read_text().splitlines()
    (tmp_path / "b.jsonl").write_text("\n".join(reversed(lines)))
    read = [
        read_items(tmp_path / f"{name}.jsonl", "own", max_prompt_characters=100) for name in "ab"
    ]
    assert read[0].items == read[1].items and read[0].digest != read[1].digest
    assert [item.id for item in read[0].items] != sorted(item.id for item in read[0].items)


def test_long_prompts_are_left_out_for_every_tier(tmp_path: Path):
    data_folder(tmp_path, own=[{"prompt": "x" * 10}, {"prompt": "x" * 11}])
    read = read_items(tmp_path / "own.jsonl", "own", max_prompt_characters=10)
    assert [item.id for item in read.items] == ["own-0"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"id": "1"}', "own.jsonl:1"),
        ('{"id": "1", "prompt": "?"}\nnone', "own.jsonl:2"),
        ('{"id": "1", "prompt": "?"}\n{"id": "1", "prompt": "!"}', "twice"),
    ],
)
def test_data_that_cannot_be_read_are_named(tmp_path: Path, content: str, why: str):
    (tmp_path / "own.jsonl").write_text(content)
    with pytest.raises(InvalidRequest, match=why):
        read_items(tmp_path / "own.jsonl", "own", max_prompt_characters=10)


def test_sets_are_named():
    assert [each.name for each in named(["humaneval", "mmlu_test"])] == ["mmlu_test", "humaneval"]
    with pytest.raises(InvalidRequest, match="gsm8k_test"):
        named(["gsm8k"])
