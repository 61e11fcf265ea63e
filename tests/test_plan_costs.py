"""From measurements to the chains that they allow, each with its best blocks."""

import json
from pathlib import Path

import pytest

from tiercel.decoding.chain_cost import Level
from tiercel.decoding.chain_time import Beginning, best_chain, predicted_seconds
from tiercel.errors import InvalidRequest
from tiercel.learning import LearnedPolicy, PairPolicy
from tiercel.plan_costs import (
    Measurements,
    TierTimes,
    chain_of,
    learned_measurements,
    predictions,
    read_measurements,
)
from tiercel.plan_text import parse_plan

DATA = {
    "tiers": {
        "big": {"step_s": {"1": 0.1, "5": 0.14}, "prefill_s_per_token": 0.01, "load_s": 2.0},
        "small": {"step_s": {"1": 0.02, "9": 0.03}, "queue_s": 0.5},
        "suffix": {"token_s": 0.0001},
        "idle": {},
    },
    "pairs": [
        {"drafter": "small", "verifier": "big", "acceptance_rate": 0.8, "round_trip_s": 0.002},
        {"drafter": "suffix", "verifier": "big", "acceptance_rate": 0.3},
        {"drafter": "suffix", "verifier": "small", "acceptance_rate": 0.4},
        {"drafter": "idle", "verifier": "small", "acceptance_rate": 0.9},
        {"drafter": "gone", "verifier": "big", "acceptance_rate": 0.9},
        {"drafter": "big", "verifier": "small", "acceptance_rate": 0.9},
    ],
}


def test_every_chain_over_the_measured_tiers_is_there_once():
    found = predicted(DATA)
    shapes = [tuple(part.split(":")[0] for part in one.plan.split(" <- ")) for one in found]
    assert sorted(shapes) == [
        ("big",),
        ("big", "small"),
        ("big", "small", "suffix"),
        ("big", "suffix"),
        ("small",),
        ("small", "big"),
        ("small", "big", "suffix"),
        ("small", "suffix"),
    ]
    for root in ("big", "small"):
        times = [one.answer_s for one in found if one.root == root]
        assert times == sorted(times)


def test_a_chain_has_the_best_blocks_and_the_roots_own_beginning():
    [pair] = [one for one in predicted(DATA) if one.plan.startswith("big <- suffix")]
    level = Level(TierTimes(**DATA["tiers"]["big"]).step(), 0.3)
    chain = best_chain(0.0001, (level,), 8)
    assert pair.plan == f"big <- suffix:{chain.lengths[0]}"
    beginning = Beginning(prefill_s=0.5, load_s=2.0)
    assert pair.answer_s == pytest.approx(predicted_seconds(chain, 40, beginning))
    [alone] = [one for one in predicted(DATA) if one.plan == "small"]
    assert alone.answer_s == pytest.approx(0.5 + 39 * 0.02)


def test_the_numbers_of_three_levels_stand_where_they_belong():
    [chain] = [
        one
        for one in predicted(DATA)
        if one.plan.startswith("big <- small:") and "suffix" in one.plan
    ]
    small, suffix = (int(part.split(":")[1]) for part in chain.plan.split(" <- ")[1:])
    step = {name: TierTimes(**DATA["tiers"][name]).step() for name in ("big", "small")}
    levels = (Level(step["small"], 0.4), Level(step["big"], 0.8, 0.002))
    assert best_chain(0.0001, levels, 8).lengths == (suffix, small)


def test_passes_between_and_beyond_the_measured_widths_lie_on_lines():
    step = TierTimes(step_s={1: 1.0, 3: 2.0, 5: 4.0}).step()
    assert [step(width) for width in (1, 2, 3, 4, 5, 6, 9)] == [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 8.0]
    assert TierTimes(step_s={4: 2.0}).step()(9) == 2.0


def test_what_a_file_says_is_over_what_was_learned():
    pairs = (
        PairPolicy("small", "big", "", 4, 0.0, 0.5, 900, 0.03, 0.2),
        PairPolicy("suffix", "small", "", 4, 0.0, 0.25, 900, 0.0002, 0.04),
        PairPolicy("suffix", "big", "code", 4, 0.0, 0.75, 900, 0.0002, 0.3),
    )
    learned = learned_measurements(LearnedPolicy("e", 1, pairs), "")
    assert learned.tiers["big"].step_s == {1: 0.2}
    assert (learned.tiers["small"].step_s, learned.tiers["small"].draft_s()) == ({1: 0.04}, 0.03)
    assert [pair.acceptance_rate for pair in learned.pairs] == [0.5, 0.25]
    both = Measurements.model_validate(DATA).over(learned)
    assert both.tiers["small"].token_s == 0.03 and both.tiers["small"].queue_s == 0.5
    assert both.tiers["big"].step_s == {1: 0.1, 5: 0.14}
    assert both.pairs == Measurements.model_validate(DATA).pairs
    assert learned_measurements(LearnedPolicy("e", 1, pairs), "code").tiers.keys() == {
        "big",
        "suffix",
    }


def test_a_drafter_that_was_only_scored_is_not_free():
    pairs = (PairPolicy("idle", "big", "", 4, 0.0, 0.9, 900, 0.0, 0.2),)
    learned = learned_measurements(LearnedPolicy("e", 1, pairs), "")
    assert learned.tiers.keys() == {"big"} and learned.unknown() == ["idle"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("{", "data="),
        ('{"tiers": {"a": {"step_s": {"0": 1}}}}', "tiers.a.step_s.0.[key]="),
        ('{"tiers": {"a": {"step_s": {"1": -1}}}}', "tiers.a.step_s.1="),
        ('{"tiers": {"a": {"speed": 1}}}', "tiers.a.speed="),
        (
            '{"pairs": [{"drafter": "a", "verifier": "b", "acceptance_rate": 2}]}',
            "pairs.0.acceptance_rate=2",
        ),
    ],
)
def test_a_file_that_cannot_be_right_is_told_by_its_key(tmp_path: Path, text: str, key: str):
    path = tmp_path / "data.json"
    path.write_text(text)
    with pytest.raises(InvalidRequest) as refused:
        read_measurements(path)
    assert str(refused.value).startswith(key)
    with pytest.raises(InvalidRequest, match="No such file"):
        read_measurements(tmp_path / "none")


def predicted(data):
    measured = Measurements.model_validate_json(json.dumps(data))
    return predictions(measured, num_tokens=40, num_prompt_tokens=50, limit=8)


def test_a_plan_is_the_chain_of_its_own_block_lengths():
    measured = Measurements.model_validate(DATA)
    chain = chain_of(measured, parse_plan("big <- small:3 <- suffix:5").plan())
    assert (chain.draft_s, chain.lengths) == (0.0001, (5, 3))
    assert [level.acceptance_rate for level in chain.levels] == [0.4, 0.8]
    assert chain_of(measured, parse_plan("small").plan()).lengths == (0,)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("big <- [small:3, suffix:5]", "no chain"),
        ("suffix <- big:3", "no chain"),
        ("small <- idle:2", "not measured"),
        ("suffix", "not measured"),
    ],
)
def test_a_plan_of_which_too_little_is_known_is_refused(text: str, why: str):
    with pytest.raises(InvalidRequest, match=why):
        chain_of(Measurements.model_validate(DATA), parse_plan(text).plan())


def test_a_drafter_that_has_often_nothing_to_say_is_worth_less():
    pair = DATA["pairs"][1]
    seldom = {**pair, "start_rate": 0.25, "continue_rate": 0.5}
    data = {"tiers": DATA["tiers"], "pairs": [pair]}
    [often], [less] = (
        [one for one in predicted({**data, "pairs": [which]}) if one.plan.startswith("big <- ")]
        for which in (pair, seldom)
    )
    assert often.answer_s < less.answer_s
