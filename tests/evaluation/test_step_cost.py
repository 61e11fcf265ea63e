"""What answers cost in replay: counts times step times; lossless chains, block by block."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.evaluation.test_matrix import outcome
from tiercel.cli.__main__ import app
from tiercel.errors import InvalidRequest
from tiercel.evaluation.chain_replay import replayed
from tiercel.evaluation.step_cost import (
    Asked,
    PairTimes,
    StepTimes,
    TierTimes,
    chain_seconds,
    pass_count,
    replay_seconds,
    seconds,
)

SMALL = TierTimes(prefill_s=0.5, prompt_token_s=0.01, pass_s={1: 1.0, 2: 1.5, 4: 2.0})
LARGE = TierTimes(prefill_s=2.0, prompt_token_s=0.1, pass_s={1: 10.0, 5: 12.0})
TIMES = StepTimes(tiers={"small-0.5b": SMALL, "large": LARGE})


def test_widths_between_those_that_were_timed_lie_on_lines():
    widths = [SMALL.pass_seconds(width) for width in (1, 2, 3, 4, 6)]
    assert widths == pytest.approx([1.0, 1.5, 1.75, 2.0, 2.5])
    assert TierTimes(prefill_s=0, prompt_token_s=0, pass_s={1: 3.0}).pass_seconds(7) == 3.0


def test_counts_are_charged_with_their_prompts():
    counts = {"passes.small-0.5b": 3, "prompt_tokens.small-0.5b": 10, "divergent.large": 7}
    assert seconds(counts, TIMES) == pytest.approx(3 * 1.0 + 0.5 + 10 * 0.01)
    counts |= {pass_count(3, "large"): 2, pass_count(1, "large"): 1, "prompt_tokens.large": 4}
    large = 2 * 11.0 + 10.0 + 2.0 + 4 * 0.1
    assert seconds(counts, TIMES) == pytest.approx(3.6 + large)
    four_prompts = counts | {"prompts.small-0.5b": 4}
    assert seconds(four_prompts, TIMES) == pytest.approx(3.6 + large + 3 * 0.5)


def test_a_tier_that_was_not_timed_is_named():
    assert replay_seconds(outcome(0), TIMES) == 0  # no work, whoever would have done it
    with pytest.raises(InvalidRequest, match="medium"):
        seconds({"passes.medium": 1}, TIMES)


def test_times_come_back_from_their_file(tmp_path: Path):
    path = tmp_path / "step_times.json"
    TIMES.save(path)
    assert StepTimes.load(path) == TIMES
    for broken in ("{", '{"tiers": {"a": {"pass_s": {}}}}'):
        path.write_text(broken)
        with pytest.raises(InvalidRequest):
            StepTimes.load(path)
    with pytest.raises(ValueError, match="over one token"):
        TierTimes(prefill_s=0, prompt_token_s=0, pass_s={2: 1.0})


def flags(text: str) -> np.ndarray:
    return np.array([mark == "x" for mark in text], np.bool_)


def test_blocks_of_an_answer_are_counted_by_hand():
    # Two plain tokens; a block of 3 of which 2 stand; one of which all stand, then its bonus
    # token; a block that is wrong at once; the last token is drafted, and the answer is over.
    blocks = replayed(flags("--" + "xx-" + "xxx-" + "-" + "x"), 3)
    assert blocks.root == {1: 1, 4: 3, 2: 1}
    assert blocks.drafter == {2: 1 + 1, 1: 2 + (1 + 2) + 2 + 1}
    assert (blocks.num_blocks, blocks.num_drafted, blocks.num_accepted) == (4, 10, 6)


def test_blocks_end_at_the_limit_and_where_nothing_was_said():
    assert replayed(flags("------"), 4).num_drafted == 4 * 4
    limited = replayed(flags("------"), 4, max_new_tokens=6)
    assert limited.root == {1: 1 + 1, 4: 1, 3: 1, 2: 1}  # blocks of 3, 2, 1 and none
    silent = replayed(flags("--x--x"), 4, said=flags("--x-xx"))
    # x is said and nothing behind it; then a wrong one is said; the last is right.
    assert silent.root == {1: 1, 2: 2, 5: 1}
    assert (silent.num_drafted, silent.num_accepted) == (6, 2)
    assert replayed(flags("x"), 4).root == replayed(flags(""), 4).root == {}
    assert replayed(flags("xxxx"), 0).root == {1: 3}


def test_a_perfect_drafter_pays_a_pass_for_a_block():
    asked = Asked(num_prompt_tokens=10, max_new_tokens=12, num_drafter_prompt_tokens=20)
    pair = PairTimes(LARGE, SMALL, round_trip_s=0.25)
    blocks = replayed(np.ones(12, np.bool_), 4, max_new_tokens=12)
    assert blocks.root == {1: 1, 5: 2} and blocks.drafter == {2: 2, 1: 6}
    expected = (2 + 1.0 + 10 + 2 * 12) + (0.5 + 0.2 + 2 * 1.5 + 6) + 2 * 0.25
    assert chain_seconds(np.ones(12, np.bool_), pair, 4, asked) == pytest.approx(expected)
    free = chain_seconds(np.ones(12, np.bool_), PairTimes(LARGE), 4, asked)
    assert free == pytest.approx(2 + 1.0 + 10 + 2 * 12)


def test_the_command_times_every_tier(ladder: Path, tmp_path: Path):
    out = tmp_path / "step_times.json"
    StepTimes(tiers={"other": SMALL}).save(out)
    asked = ["--config", str(ladder), "--out", str(out), "--repeats", "1", "--threads", "1"]
    done = CliRunner().invoke(app, ["eval", "calibrate", *asked, "--tier", "large"])
    assert done.exit_code == 0, done.output
    times = StepTimes.load(out)
    assert list(times.tiers) == ["other", "large"] and times.of("other") == SMALL
    large = times.of("large")
    assert large.numerics_id and large.threads == 1
    assert {1, 5, 16} <= large.pass_s.keys() and min(large.pass_s.values()) > 0
    assert large.prefill_s >= 0 and large.prompt_token_s >= 0
    assert "large" in done.stdout and "other" in done.stdout
