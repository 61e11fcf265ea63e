"""What the live comparison of chains says of made-up times, and how a process is slowed down."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from bench.live.asking import seconds_per_unit, work_of
from bench.live.chain_arms import arms_of, to_slow
from bench.live.chains import BUILT_IN
from bench.live.figures import draw_phases
from bench.live.mixture import mixture
from bench.live.phases import ADAPTIVE, Sample, chosen, disagreements, timed, waves
from bench.live.ratios import Phase, compared, verdicts
from bench.live.slowing import alternate
from tiercel import tiers
from tiercel.errors import InvalidRequest
from tiercel.types import PairStats, TierStats, Usage

RNG = np.random.default_rng(5)


def phase(
    name: str, means: tuple[float, ...], turns: int = 40, clients: int = 1, noise: float = 0.0
) -> Phase:
    """Turns differ much, arms on one turn by `noise`: turns are what is paired."""
    turn = RNG.lognormal(0, 0.7, size=(turns, 1)) * RNG.normal(1, noise, (turns, len(means)))
    return Phase(name, clients * turn / turn.mean(axis=0) * np.array(means), (clients,) * turns)


def test_the_adaptive_arm_is_held_against_the_best_of_each_phase_and_of_the_run():
    phases = [phase("a", (1.0, 0.8, 2.0)), phase("b", (1.0, 3.0, 1.5))]
    a, b, run = compared(phases)
    assert (a.best, b.best, run.best) == (1, 2, 2)
    assert a.ratio.mean == pytest.approx(1 / 0.8, rel=1e-6)
    assert b.ratio.mean == pytest.approx(1 / 1.5, rel=1e-6)
    assert run.ratio.mean == pytest.approx(2 / 3.5, rel=1e-6)
    assert a.ratio.high - a.ratio.low < 1e-6  # the same turns for all: nothing is left to chance
    assert run.ratio.low < run.ratio.mean < run.ratio.high


def test_requests_count_alike_however_many_are_asked_at_once():
    phases = [phase("alone", (1.0, 1.0), turns=30), phase("crowd", (2.0, 4.0), 5, clients=8)]
    run = compared(phases)[-1]
    assert run.mean_s == pytest.approx(((30 + 40 * 2) / 70, (30 + 40 * 4) / 70))


def test_a_goal_is_met_by_the_interval_in_the_mean_or_not():
    def said(*means: tuple[float, ...]):
        return [*verdicts(compared([phase(str(at), one) for at, one in enumerate(means)])).values()]

    sure, in_phase = said((0.8, 1.0), (0.8, 1.0))
    assert sure.startswith("met:")
    assert in_phase.startswith("met:")
    assert said((1.0, 1.0), (1.0, 1.0))[0].startswith("missed: run")
    assert said((0.5, 1.0), (1.1, 1.0))[1].startswith("missed")
    unsure = phase("0", (0.89, 1.0), turns=12, noise=0.3)
    [over_the_run, _] = verdicts(compared([unsure])).values()
    assert over_the_run.startswith("met in the mean, not by the interval")


def sample(phase: str, turn: int, arm: str, seconds: float, **others) -> Sample:
    fields = {
        "kind": "k",
        "prompt_id": str(turn),
        "first_s": 0.1,
        "num_tokens": 4,
        "plan_name": "p",
        "plan_version": 0,
        "answer": "x",
        "work": {},
    }
    return Sample(phase=phase, turn=turn, arm=arm, seconds=seconds, **(fields | others))


def test_samples_become_turns_by_arms_with_all_requests_of_a_turn():
    samples = [
        sample("b", turn, arm, seconds)
        for turn in range(2)
        for arm, seconds in (("two", 2.0), (ADAPTIVE, 1.0))
        for _ in range(3)
    ]
    [found] = timed(samples, [ADAPTIVE, "two"])
    assert found.seconds.tolist() == [[3.0, 6.0], [3.0, 6.0]]
    assert found.num_requests == (3, 3)


def test_answers_that_differ_and_plans_that_were_in_force_are_counted():
    samples = [
        sample("a", 0, ADAPTIVE, 1.0, plan_name="one"),
        sample("a", 1, ADAPTIVE, 1.0, plan_name="two"),
        sample("a", 0, "one", 1.0, answer="y"),
        sample("a", 1, "one", 1.0),
        sample("b", 1, ADAPTIVE, 1.0, plan_name="three"),
    ]
    assert disagreements(samples) == 1
    assert chosen(samples, "a") == {"one": 0.5, "two": 0.5}


def test_waves_go_round_and_are_full():
    assert [[*wave] for wave in waves("abc", 2, 4)] == [list("abca"), list("bcab")]


def test_the_seconds_of_a_unit_are_of_passes_or_of_draft_tokens():
    pair = PairStats("small", "large", num_draft_tokens=10, draft_compute_s=0.5)
    usage = Usage(5, 5, (pair,), (TierStats("large", 4, compute_s=2.0),))
    works = [work_of(usage), {}]
    assert seconds_per_unit(works, "small") == pytest.approx(0.05)
    assert seconds_per_unit(works, "large") == pytest.approx(0.5)
    assert seconds_per_unit(works, "idle") is None


def test_the_slow_tier_is_the_best_chain_s_own_drafter_or_else_its_root():
    configuration = tiers.load(BUILT_IN)
    assert to_slow(configuration, "distilled+ngram") == "distilled"
    assert to_slow(configuration, "alone") == "target"
    assert to_slow(tiers.load(tiers.BUILT_IN), "draft+suffix") == "draft"  # look-ups are local


def test_every_plan_is_an_arm_and_other_roots_are_refused():
    assert [*arms_of(tiers.load(BUILT_IN), 8)][:3] == [ADAPTIVE, "alone", "suffix"]
    with pytest.raises(InvalidRequest, match="under exact"):
        arms_of(tiers.load(tiers.BUILT_IN), 8)


@pytest.mark.parametrize("late", [0.0, 0.013])
def test_a_process_stands_still_twice_as_long_as_it_runs_however_late_the_clock_is(late: float):
    now, since = 0.0, {True: 0.0, False: 0.0}
    running, log = True, []

    def wait(seconds: float) -> bool:
        nonlocal now
        since[running] += seconds + late
        now += seconds + late
        return now > 20

    def switch(to: bool) -> None:
        nonlocal running
        running = to
        log.append(to)

    alternate(3.0, lambda: switch(False), lambda: switch(True), wait, clock=lambda: now)
    assert since[False] / since[True] == pytest.approx(2, rel=0.02)
    assert log[-1] is True


def test_prompts_are_mixed_and_the_same_for_a_seed(tmp_path: Path):
    for kind in ("one", "two"):
        rows = [{"id": f"{kind}-{n}", "prompt": f"{n}?", "reference": None} for n in range(9)]
        (tmp_path / f"{kind}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    drawn = [mixture(tmp_path, ("one", "two"), 4, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert sorted(one.kind for one in drawn[0]) == ["one"] * 4 + ["two"] * 4


def test_phases_are_drawn(tmp_path: Path):
    results = compared([phase("a", (1.0, 0.8, 2.0)), phase("b", (1.0, 3.0, 1.5))])
    draw_phases(results, ["adaptive", "one", "two"], tmp_path / "phases.png")
    assert imread(tmp_path / "phases.png").std() > 0
