"""What the comparison of rules asks, keeps and draws; no service is started."""

from pathlib import Path

import pytest
from matplotlib.image import imread

from bench.rule_cells import COLUMNS, Cell, Cells, curve, draw
from bench.rules import BUILT_IN, PLANS, STRICTNESS, Sizes, acceptances, calibrated
from tests.decoding.test_agreement_table import TABLE
from tiercel import tiers
from tiercel.errors import InvalidRequest, ModelUnavailable
from tiercel.plan_text import parse_plan
from tiercel.types import Acceptance, Rule

PAIR, TWO = parse_plan("target <- distilled:4"), parse_plan("target <- [int8:4, suffix:8]")


def cell(plan=PAIR, rule=Rule.EXACT, strictness=1.0, **fields) -> Cell:
    counts = {
        "num_tokens": 90, "seconds": 3.0, "num_passes": 30, "num_accepted": 60, "num_judged": 80,
        "similarity": None, "num_compared": 100, "num_divergent": 5, "num_unjudged": 7,
        "logprob_gap": 2.0, "plain_tokens_per_s": 20.0,
    }  # fmt: skip
    return Cell(str(plan), fields.pop("temperature", 0.0), rule.value, strictness, **counts)


def test_each_rule_is_compared_where_it_has_something_to_say():
    pair, two = acceptances(PAIR, STRICTNESS), acceptances(TWO, STRICTNESS)
    assert {one.rule for one in pair} == set(Rule) - {Rule.COSD_TREE, Rule.AGREEMENT}
    assert {one.rule for one in two} == {Rule.EXACT, Rule.AGREEMENT}
    for rules in (pair, two):
        assert len(set(rules)) == len(rules)
        assert rules[0] == Acceptance()


def test_the_built_in_tiers_serve_the_plans():
    configuration = tiers.load(BUILT_IN)
    for plan in map(parse_plan, PLANS):
        assert {plan.tier, *(one.tier for one in plan.drafters)} <= set(configuration.tiers)


def test_prompts_come_from_all_parts_of_a_file():
    assert Sizes(limit=3).of([str(number) for number in range(10)]) == ["0", "3", "6"]
    assert Sizes(limit=20).of(["a", "b"]) == ["a", "b"]


def test_a_run_that_was_stopped_goes_on_behind_its_last_cell(tmp_path: Path):
    path, rules = tmp_path / "rules.json", acceptances(PAIR, (0.5,))
    first = Cells.load(path, ["a", "b"], 32)
    assert first.missing(PAIR, 0.0, rules) == rules
    first.add(cell())
    first.add(cell(rule=Rule.LENIENT, strictness=0.5))
    again = Cells.load(path, ["a", "b"], 32)
    assert list(again) == list(first)
    done = [Acceptance(), Acceptance(Rule.LENIENT, 0.5)]
    assert again.missing(PAIR, 0.0, rules) == [one for one in rules if one not in done]
    assert again.missing(PAIR, 0.8, rules) == again.missing(TWO, 0.0, rules) == rules


@pytest.mark.parametrize(("prompts", "most"), [(["a"], 32), (["a", "c"], 32), (["a", "b"], 33)])
def test_cells_of_other_answers_are_not_mixed_in(tmp_path: Path, prompts: list[str], most: int):
    Cells.load(tmp_path / "rules.json", ["a", "b"], 32).add(cell())
    with pytest.raises(InvalidRequest, match="other prompts or longer answers"):
        Cells.load(tmp_path / "rules.json", prompts, most)


def test_a_calibration_counts_at_its_own_temperature(tmp_path: Path):
    TABLE.save(tmp_path / "calibration.json")
    assert calibrated([tmp_path / "calibration.json"]) == {
        TABLE.temperature: tmp_path / "calibration.json"
    }
    with pytest.raises(ModelUnavailable):
        calibrated([tmp_path / "none.json"])


def test_a_row_says_what_was_counted():
    row = dict(zip(COLUMNS, cell(TWO, Rule.AGREEMENT, 0.9).row(), strict=True))
    assert (row["accepted"], row["divergent"], row["unjudged"]) == ("0.750", "0.050", "7")
    assert (row["tokens/pass"], row["tokens/s"], row["x"]) == ("3.00", "30.0", "1.50")
    exact = dict(zip(COLUMNS, cell().row(), strict=True))
    assert exact["divergent"] == exact["unjudged"] == "-"


def test_every_plan_has_a_panel(tmp_path: Path):
    cells = [cell(), cell(rule=Rule.LENIENT, strictness=0.5), cell(temperature=0.8)]
    draw(cells, tmp_path / "one.png")
    draw([*cells, cell(TWO), cell(TWO, Rule.AGREEMENT, 0.5)], tmp_path / "two.png")
    one, two = (imread(tmp_path / name) for name in ("one.png", "two.png"))
    assert two.shape[1] == 2 * one.shape[1] and two.min() < 0.5


def test_a_curve_goes_from_exact_on_however_the_cells_came():
    came = [cell(rule=Rule.LENIENT, strictness=one) for one in (0.7, 0.3, 0.9)]
    points = curve([*came, cell(rule=Rule.TYPICAL, strictness=0.5), cell()], Rule.LENIENT)
    assert [(one.rule, one.strictness) for one in points] == [
        ("exact", 1.0), ("lenient", 0.9), ("lenient", 0.7), ("lenient", 0.3)
    ]  # fmt: skip
