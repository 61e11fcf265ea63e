"""Inputs of a prediction from answers of known times, and predictions held against answers."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.planning import BUILT_IN, compared, outline_of, predicted, predicted_passes
from bench.planning_inputs import LENGTHS, Sample, measurements, pairs_of, training_plans
from tiercel import tiers
from tiercel.plan_costs import chain_of
from tiercel.plan_text import parse_plan
from tiercel.types import PairStats, Plan, TierStats, Usage

QWEN = Path(BUILT_IN).with_name("planning_qwen.toml")
ROUND_TRIP_S, TOKEN_S, STEP_S, ROW_S = 0.003, 0.001, 0.04, 0.004
PROMPT_TOKEN_S, BEFORE_S = 0.002, 0.1
CONTINUES = 0.8


def plan(text: str) -> Plan:
    return parse_plan(text).plan()


def answer(
    turn: int, text: str, *, prompt: int, tokens: int, blocks: int = 0, slower: float = 1.0
) -> Sample:
    """An answer of a tier alone, or with a look-up of which half of all drafts are accepted."""
    asked = plan(text)
    length = asked.drafters[0].num_speculative_tokens if asked.drafters else 0
    drafted = round(blocks * sum(CONTINUES**place for place in range(length)))
    passes = tokens - 1 if not blocks else 2 * blocks  # in half of them there is a draft
    compute_s = passes * STEP_S + drafted * ROW_S
    pairs = []
    if length:
        counts = {"num_accepted_tokens": blocks, "num_rejected_tokens": blocks}
        times = {"num_drafts": blocks, "draft_compute_s": drafted * TOKEN_S}
        stats = PairStats(asked.drafters[0].tier, asked.tier, num_draft_tokens=drafted)
        pairs.append(replace(stats, **counts, **times))
    first_s = BEFORE_S + prompt * PROMPT_TOKEN_S
    rest_s = compute_s + drafted * TOKEN_S + (passes * ROUND_TRIP_S if length else 0.0)
    root = TierStats(asked.tier, num_forward_passes=passes + 1, compute_s=compute_s)
    usage = Usage(prompt, tokens, pairs, [root], first_s, 0.0)
    return Sample(turn, asked, slower * (first_s + rest_s), slower * first_s, usage)


def trained(turns: int = 3) -> list[Sample]:
    return [
        one
        for turn in range(turns)
        for prompt in [50 + 40 * turn]
        for one in (
            answer(turn, "big", prompt=prompt, tokens=41),
            *(
                answer(turn, f"big <- suffix:{length}", prompt=prompt, tokens=41, blocks=100)
                for length in LENGTHS
            ),
        )
    ]


def test_what_is_asked_are_tiers_alone_and_neighbours():
    chains = [plan("big"), plan("big <- small:4 <- suffix:5"), plan("small <- suffix:3")]
    assert pairs_of(chains) == [("big", "small"), ("small", "suffix")]
    asked = [str(outline_of(one)) for one in training_plans(chains)]
    assert asked[:2] == ["big", "small"]
    assert asked[2:] == [
        f"{pair}:{length}" for pair in ("big <- small", "small <- suffix") for length in LENGTHS
    ]


def test_times_and_rates_are_found_again():
    known = measurements(trained())
    big, [pair] = known.tiers["big"], known.pairs
    assert big.step_s == pytest.approx({1: STEP_S, 9: STEP_S + 8 * ROW_S})
    assert big.prefill_s_per_token == pytest.approx(PROMPT_TOKEN_S)
    assert big.queue_s == pytest.approx(BEFORE_S)
    assert known.tiers["suffix"].token_s == pytest.approx(TOKEN_S)
    assert pair.acceptance_rate == pair.start_rate == 0.5
    assert pair.round_trip_s == pytest.approx(ROUND_TRIP_S)
    assert pair.continue_rate == pytest.approx(CONTINUES, abs=0.01)


def test_an_answer_as_predicted_has_the_ratio_one_and_a_slower_one_less():
    known, names = measurements(trained()), {"alone": plan("big"), "pair": plan("big <- suffix:4")}
    outcomes = []
    for turn in range(3):
        for one in names.values():
            like = answer(turn, str(outline_of(one)), prompt=60, tokens=33)
            outcomes.append(replace(like, seconds=predicted(known, [like])))
    told = compared(names, trained(), outcomes, seed=1, replicates=10)
    assert [one.ratio for one in told] == pytest.approx([1.0, 1.0])
    assert [one.verdict for one in told] == ["within 15 %"] * 2
    slow = [replace(one, seconds=1.25 * one.seconds) for one in outcomes]
    told = compared(names, trained(), slow, seed=1, replicates=10)
    assert [one.ratio for one in told] == pytest.approx([0.8, 0.8])
    assert [one.verdict for one in told] == ["off"] * 2


def test_a_noisy_machine_widens_the_interval():
    names, known = {"alone": plan("big")}, trained()
    outcomes = [
        answer(turn, "big", prompt=60, tokens=33, slower=slower)
        for turn, slower in enumerate((0.5, 1.0, 1.5))
    ]
    [told] = compared(names, known, outcomes, seed=1)
    assert told.ratio == pytest.approx(1.0)
    assert told.low < 0.9 < 1.1 < told.high


def test_passes_are_those_of_tokens_that_are_not_drafted():
    known = measurements(trained())
    assert predicted_passes(known, answer(0, "big", prompt=9, tokens=33)) == 32
    fewer = predicted_passes(known, answer(0, "big <- suffix:4", prompt=9, tokens=33))
    assert 16 < fewer < 32


@pytest.mark.parametrize("path", [BUILT_IN, QWEN], ids=lambda path: path.stem)
def test_every_chain_of_the_configurations_can_be_predicted(path: Path):
    chains = [one.plan() for one in tiers.load(path).plans.values()]
    known = []
    for one in training_plans(chains):
        like = answer(0, str(outline_of(one)), prompt=9, tokens=41, blocks=10)
        known.append(replace(like, plan=one))
    for one in chains:
        assert chain_of(measurements(known), one).levels
