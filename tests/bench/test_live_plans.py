"""Which prompts are new, what a live answer costs, and whether a replayed frontier holds."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from bench.live.answers_file import AnswersFile, Scored
from bench.live.charged import counts_of
from bench.live.figures import draw_plans
from bench.live.holding import Measured, held
from bench.live.ladder_services import Ladder
from bench.live.unseen import apportioned, scored_sets, unseen
from tiercel import tiers
from tiercel.evaluation.items import Item
from tiercel.evaluation.matrix import Cells, CellsManifest
from tiercel.evaluation.outcomes import Outcome
from tiercel.replies import Finished, StageDecision
from tiercel.types import FinishReason, PairStats, TierStats, Usage

SETS = ("gsm8k_test", "nq_open_dev", "mmlu_test")


def cells(column: str, set_name: str, ids: list[str]) -> Cells:
    manifest = CellsManifest(
        column=column, set_name=set_name, data_digest="", set_digest="", tiers={}
    )
    outcomes = (Outcome(one, 0, "n", (1,), FinishReason.STOP_TOKEN, {"exact": 1.0}) for one in ids)
    return Cells(Path(), manifest, tuple(outcomes))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in SETS:
        rows = [{"id": f"{name}-{n}", "prompt": f"{n}?", "reference": "1"} for n in range(40)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_further_prompts_are_new_to_every_column_and_spread_over_the_sets_as_the_matrix_is(data):
    matrix = [
        cells("small", "gsm8k_test", [f"gsm8k_test-{n}" for n in range(30)]),
        cells("large", "gsm8k_test", [f"gsm8k_test-{n}" for n in range(20, 32)]),
        cells("small", "nq_open_dev", [f"nq_open_dev-{n}" for n in range(5)]),
        cells("large", "nq_open_dev", [f"nq_open_dev-{n}" for n in range(5)]),
        cells("small", "mmlu_test", ["mmlu_test-1"]),  # letters: no texts to compare
        cells("large", "mmlu_test", ["mmlu_test-1"]),
    ]
    shares = scored_sets(matrix, ("small", "large"))
    assert shares == {"nq_open_dev": 5, "gsm8k_test": 10}
    asked = unseen(data, matrix, shares, 12)
    ids = [one.item.id for one in asked]
    assert len(set(ids)) == 12
    known = {one.prompt_id for each in matrix for one in each.outcomes}
    assert known.isdisjoint(ids)
    assert sum(one.set.name == "gsm8k_test" for one in asked) == 8  # of 8 that are left
    assert sum(one.set.name == "gsm8k_test" for one in asked[:6]) == 4
    assert {one.prompt.kind for one in asked} == {"math", "facts"}


def test_shares_are_kept_as_far_as_there_are_prompts():
    assert apportioned({"a": 2, "b": 1}, {"a": 99, "b": 99}, 9) == {"a": 6, "b": 3}
    assert apportioned({"a": 2, "b": 1}, {"a": 3, "b": 99}, 9) == {"a": 3, "b": 6}
    assert apportioned({"a": 2, "b": 1}, {"a": 3, "b": 2}, 9) == {"a": 3, "b": 2}


def end(usage: Usage, *stages: StageDecision) -> Finished:
    return Finished(FinishReason.STOP_TOKEN, usage, 0, True, stages=stages)


def test_work_is_counted_by_tier_and_width():
    pair = PairStats("draft", "root", num_drafts=3, num_draft_tokens=12)
    usage = Usage(7, 20, (pair,), (TierStats("root", 10, 7), TierStats("suffix")))
    assert counts_of(end(usage), {}, lambda tier: 0) == {
        "passes.root": 6,  # of ten passes one read the prompt, and three judged blocks
        "passes@5.root": 3,
        "prompt_tokens.root": 7,
    }


def test_a_plan_that_was_overruled_is_charged_for_what_it_had_said():
    usage = Usage(7, 20, (), (TierStats("large", 15, 7), TierStats("small")))
    stage = StageDecision(0, 32, "cheap", "dear", 1.0, 0.1, 0.1, "why")
    counts = counts_of(end(usage, stage), {"cheap": "small", "dear": "large"}, lambda tier: 9)
    assert counts["passes.small"] == 31
    assert counts["prompt_tokens.small"] == 9
    told = dataclasses.replace(usage, tiers=(*usage.tiers[:1], TierStats("small", 40, 9)))
    assert counts_of(end(told, stage), {"cheap": "small"}, lambda tier: 9)["passes.small"] == 39
    goes_on = dataclasses.replace(stage, next_plan_name="")
    assert "passes.small" not in counts_of(end(usage, goes_on), {"cheap": "small"}, lambda tier: 9)


def scored(arm: str) -> Scored:
    return Scored("s", "p", arm, 1.0, 0.5, 0.6, 3, "eos", arm, arm, {"passes.a": 2}, "c")


def test_answers_are_kept_and_a_line_that_was_cut_off_is_asked_again(tmp_path: Path):
    path = tmp_path / "answers.jsonl"
    for arm in ("a", "b"):
        AnswersFile(path).add(scored(arm))
    whole = path.read_text()
    path.write_text(whole[:-9])
    kept = AnswersFile(path)
    assert list(kept.rows) == [("s", "p", "a")]
    kept.add(scored("b"))
    assert path.read_text() == whole
    assert AnswersFile(path).rows[("s", "p", "b")] == scored("b")


def measured(rng, count: int, static: tuple[float, float], policy: float, curve: list[float]):
    """Two plans at costs 1 and 3, and a policy at 2 of some qualities; luck is the prompt's."""
    luck = rng.normal(0, 0.2, size=(count, 1))
    quality = {"small": static[0] + luck, "large": static[1] + luck, "policy": policy + luck}
    cost = {"small": 1.0, "large": 3.0, "policy": 2.0}
    sets = [("x", "y")[at % 2] for at in range(count)]
    costs = {arm: np.full((count, 1), one) for arm, one in cost.items()}
    if curve:
        quality["policy"] = np.array(curve) + luck
        costs["policy"] = np.tile(np.linspace(1, 3, len(curve)), (count, 1))
    return Measured(sets, quality, costs)


def test_a_frontier_holds_that_is_reached_again_and_one_that_is_not_does_not():
    rng = np.random.default_rng(0)
    replay = measured(rng, 400, (0.2, 0.4), 0.0, [0.2, 0.38, 0.4])

    def policy(quality: float):
        live = measured(rng, 200, (0.2, 0.4), quality, [])
        return held(live, replay, {"policy": "policy"})[-1]

    same, worse, better = policy(0.38), policy(0.25), policy(0.55)
    assert same.verdict == "holds"
    assert worse.verdict.startswith("does not hold")
    assert better.verdict == "holds: the live quality is higher"
    assert same.replayed_quality.mean == pytest.approx(0.38, abs=0.03)
    # What is common to all arms of a prompt cancels in the gain over mixtures of static plans.
    assert (same.gain.mean, same.gain.low, same.gain.high) == pytest.approx((0.08, 0.08, 0.08))
    assert same.replayed_gain.mean == pytest.approx(0.08)


def test_plans_are_drawn(tmp_path: Path):
    rng = np.random.default_rng(0)
    replay = measured(rng, 40, (0.2, 0.4), 0.0, [0.2, 0.38, 0.4])
    live = measured(rng, 40, (0.2, 0.4), 0.3, [])
    found = held(live, replay, {"policy": "policy"})
    draw_plans(found, ["small", "large"], tmp_path / "plans.png")
    assert imread(tmp_path / "plans.png").std() > 0


def test_replayed_means_weigh_sets_as_the_live_prompts_do():
    quality = {"one": np.array([[0.0]] * 10 + [[1.0]] * 30)}
    cost = {"one": np.ones((40, 1))}
    replay = Measured(["x"] * 10 + ["y"] * 30, quality, cost)
    live = Measured(["x"] * 4 + ["y"] * 4, {"one": np.zeros((8, 1))}, {"one": np.ones((8, 1))})
    assert held(live, replay, {})[0].replayed_quality.mean == pytest.approx(0.5)


def test_the_ladder_is_written_with_the_router_s_settings(tmp_path: Path):
    source = tmp_path / "ladder.toml"
    source.write_text(
        'default_plan = "b"\n'
        '[tiers.a]\nservice = "verifier"\nengine = "native"\naddresses = ["localhost:1"]\n'
        "settings = { threads = 1 }\n"
        '[tiers."b"]\nservice = "verifier"\nengine = "onnx"\naddresses = ["localhost:2"]\n'
        '[tiers.s]\nservice = "drafter"\nengine = "suffix"\naddresses = ["local"]\n'
        '[plans]\na = "a"\nb = "b"\nother = "b <- s"\n'
    )
    ladder = Ladder.load(source)
    copy = tmp_path / "copy.toml"
    copy.write_text(ladder.written({"quality": "some/where", "exploration": 0.5}))
    written = tiers.load(copy)
    assert (list(written.tiers), list(written.plans)) == (["a", "b"], ["a", "b"])
    assert written.tiers["a"] == tiers.load(source).tiers["a"]
    assert written.router.settings == {"quality": "some/where", "exploration": 0.5}
    assert written.feedback.address == ""


def test_a_question_is_asked_in_the_words_of_its_set(data):
    matrix = [cells("small", "gsm8k_test", ["gsm8k_test-0"])]
    [first, *_] = unseen(data, matrix, {"gsm8k_test": 1}, 3)
    assert isinstance(first.item, Item)
    assert first.prompt.messages[0].content.startswith(first.item.prompt)
    assert "The answer is" in first.prompt.messages[0].content
