"""Where a led strictness settles, what it is held against, and what services are told."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from bench.live.examining import spread
from bench.live.figures import draw_learning
from bench.live.learning_services import PAIRS, Lesson
from bench.live.lessons import certificates
from bench.live.settling import Judged, best_fixed, compared, settled_at
from bench.live.strictness import Scenario, Sizes, prompts_of, wrong_at_first
from bench.live.strictness_rows import Row, audits_of
from services.feedback.settings import Settings as FeedbackSettings
from services.router.settings import Settings as RouterSettings
from tiercel import tiers
from tiercel.errors import InvalidRequest
from tiercel.plan_text import print_plan
from tiercel.types import Rule

RNG = np.random.default_rng(8)


def row(strictness: float = 0.7, *, tokens: int = 40, cost_s: float = 0.2) -> Row:
    return Row("k", "p", strictness, tokens, cost_s, 0.3, 8, 10, 30, 3, led=strictness)


def judged(goodput: float, harm: float, count: int = 100) -> Judged:
    """Answers of very different lengths, the same ones for all."""
    lengths = np.random.default_rng(1).integers(5, 60, count)
    rows = [row(tokens=int(one), cost_s=float(one / goodput)) for one in lengths]
    return Judged(rows, [at < harm * count for at in range(count)])


@pytest.mark.parametrize(("start", "end"), [(0.4, 0.8), (0.99, 0.7)])
def test_strictness_settles_where_it_stays_near_its_end(start: float, end: float):
    way = np.linspace(start, end, 101)[:-1]
    near = end + RNG.uniform(-0.02, 0.02, 300)
    near[150] = end + 0.2  # one answer astray does not unsettle it
    reached = int(np.flatnonzero(np.abs(way - end) <= 0.05)[0])
    assert settled_at([*way, *near]) == pytest.approx(reached, abs=3)
    near[120:145] = end + 0.2  # many do
    assert settled_at([*way, *near]) == len(way) + 145


def test_what_never_moves_is_settled_at_once():
    assert settled_at([0.7] * 40) == 0


def test_the_best_fixed_strictness_does_no_more_harm():
    fixed = {1.0: judged(100, 0), 0.8: judged(120, 0.04), 0.5: judged(160, 0.3)}
    assert best_fixed(fixed, 0.04) == 0.8
    assert best_fixed(fixed, 0.039) == 1.0
    assert best_fixed(fixed, 1.0) == 0.5


def test_the_led_strictness_is_held_against_it_on_the_same_prompts():
    fixed = {1.0: judged(100, 0), 0.8: judged(120, 0.04), 0.5: judged(160, 0.3)}
    near = compared(judged(119, 0.05), fixed)
    assert (near.best, near.goodput.mean) == (0.8, pytest.approx(119 / 120))
    assert near.goodput.low == pytest.approx(near.goodput.high)  # the same lengths for both
    assert near.verdict.startswith("met:")
    assert compared(judged(110, 0.05), fixed).verdict.startswith("missed:")
    # With as much harm as the most lenient one it is that which has to be beaten.
    assert compared(judged(119, 0.3), fixed).verdict.startswith("missed:")


def test_goodput_is_of_all_work_and_not_a_mean_of_rates():
    rows = [row(tokens=10, cost_s=1.0), row(tokens=90, cost_s=1.0)]
    assert Judged(rows, [False, True]).goodput == pytest.approx(50)
    assert Judged(rows, [False, True]).harm.mean == 0.5
    assert Judged(rows, [False, True]).divergence == pytest.approx(0.1)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_services_are_told_what_the_lesson_says(pair: str, tmp_path: Path):
    lesson = wrong_at_first(Scenario.LENIENT, Lesson(pair, levels=(0.8, 0.5)))
    file = tmp_path / "tiers.toml"
    file.write_text(lesson.written(certifying=True))
    written = tiers.load(file)
    told = {
        name: json.loads(str(value)) if str(value).startswith("[") else value
        for name, value in written.feedback.settings.items()
    }
    learning = FeedbackSettings.model_validate(told).strictness()
    assert learning.steering.first == lesson.levels[-1] == 0.5
    assert learning.standard.num_audits == 46
    assert learning.rules == (Rule.TYPICAL,)
    router = RouterSettings.model_validate(dict(written.router.settings))
    assert (router.audit_share, router.certifying_share, router.audit_delta) == (0.2, 1.0, 0.1)
    assert "{typical=learned}" in str(lesson.learned)
    file.write_text(lesson.written(with_feedback=False))
    assert tiers.load(file).feedback.address == ""
    assert print_plan(tiers.load(file).plans["plan"].plan()) == print_plan(lesson.plan.plan())


def test_each_scenario_begins_where_it_says():
    firsts = {one: wrong_at_first(one, Lesson()).first for one in Scenario}
    assert firsts == {Scenario.LENIENT: 0.6, Scenario.STRICT: 0.99, Scenario.SHIFT: None}
    assert wrong_at_first(Scenario.STRICT, Lesson(first=0.7)).first == 0.7


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for kind in ("gsm8k_test", "writingprompts"):
        rows = [{"id": f"{kind}-{n}", "prompt": f"{n}?", "reference": "1"} for n in range(30)]
        (tmp_path / f"{kind}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_prompts_are_mixed_or_shift_and_certify_with_others(data: Path):
    sizes = Sizes(answers=20)
    certifying, mixed = prompts_of(data, Scenario.STRICT, sizes)
    again, shifting = prompts_of(data, Scenario.SHIFT, sizes)
    assert certifying == again
    assert {one.id for one in certifying}.isdisjoint(one.id for one in mixed)
    assert sorted(one.id for one in mixed) == sorted(one.id for one in shifting)
    assert [one.kind for one in shifting] == ["gsm8k_test"] * 10 + ["writingprompts"] * 10
    assert [one.kind for one in mixed[:3]] == ["gsm8k_test", "writingprompts", "gsm8k_test"]
    with pytest.raises(InvalidRequest, match="not so many"):
        prompts_of(data, Scenario.SHIFT, Sizes(answers=70))


def test_a_sample_is_spread_over_all():
    assert spread("abcdefgh", 4) == list("aceg")
    assert spread("ab", 4) == list("ab")
    assert spread("", 4) == []


def test_learning_is_drawn(tmp_path: Path):
    rows = [row(0.4 + 0.01 * at) for at in range(30)]
    draw_learning(rows, 12, tmp_path / "learning.png")
    assert imread(tmp_path / "learning.png").std() > 0


def test_audits_add_up_over_the_kinds_that_were_told():
    def told(cell: str, audits: int, harmed: int) -> Row:
        return replace(row(), cell=cell, num_audits=audits, num_harmed=harmed)

    rows = [told("a", 1, 0), told("a", 7, 2), told("b", 1, 1), told("b", 4, 1)]
    assert audits_of(rows) == (11, 3)
    assert audits_of(rows[:2]) == (7, 2)


def test_of_an_export_only_the_audits_of_levels_are_kept():
    def line(*cell: str) -> str:
        return json.dumps({"cell": json.dumps(cell), "sums": "audits 3"})

    level = line("level", "typical", "0.800", "")
    export = ['{"schema": 2}', line("pair", "a", "b", ""), level, line("strictness", "typical", "")]
    assert certificates("\n".join([*export, ""]).encode()).decode().splitlines() == [
        export[0],
        level,
    ]
