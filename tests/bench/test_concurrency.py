"""Waves: every client's arrivals come back, and the figures are what they say."""

import json
import sys
import threading
import tomllib

import pytest

from bench.concurrency import services
from bench.concurrency.measurement import Measurement, Sample
from bench.concurrency.summary import Figures, Summary, figures
from bench.concurrency.wave import Wave, in_threads
from bench.peers.workers.pipe import Question
from tests.bench import fake_waves
from tiercel import tiers


def question(text: str = "hello", max_new_tokens: int = 5) -> Question:
    return Question(text, [1, 2], [0], max_new_tokens)


def command(**options: object) -> list[str]:
    return [sys.executable, "-m", fake_waves.__name__, json.dumps(options)]


def test_the_clients_of_a_wave_are_there_at_once():
    all_there = threading.Barrier(6, timeout=150)

    def ask(question: Question, arrived) -> None:
        all_there.wait()
        for count in (1, 3, 3, question.max_new_tokens):
            arrived(count)

    arrivals = in_threads(ask, Wave([question(max_new_tokens=4 + n) for n in range(6)]))
    assert [[count for count, _ in one] for one in arrivals] == [[1, 3, 4 + n] for n in range(6)]


def test_systems_take_turns_and_one_that_fails_is_out():
    notes: list[str] = []
    commands = {
        "good": lambda size: command(),
        "gone": lambda size: command(fails_at=4),
        "never": lambda size: command(broken="no weights"),
        "by size": lambda size: command(slots=size),
    }
    asked = [question(str(number)) for number in range(3)]
    outcome = Measurement(commands, notes.append).run(asked, [1, 4], rounds=2)
    waves = {(one.system, one.round, one.num_clients) for one in outcome.samples}
    wanted = {
        (name, turn, size) for name in ("good", "by size") for turn in (0, 1) for size in (1, 4)
    }
    assert waves == wanted
    assert all(len(one.arrivals) == one.num_clients for one in outcome.samples)
    assert outcome.missing == {"gone": "ValueError: too many", "never": "OSError: no weights"}
    assert notes.count("starting by size") == 2
    assert notes.count("starting good") == 1


def test_figures_of_a_wave():
    wave = [[(1, 0.5), (2, 0.6), (5, 0.9)], [(1, 1.0), (3, 1.6), (5, 2.0)]]
    assert figures(wave) == Figures(
        tokens_per_s=5.0,
        first_s=0.75,
        last_first_s=1.0,
        per_token_s=pytest.approx((0.1 + 0.25) / 2),
        longest_pause_s=pytest.approx(0.6),
    )


def test_ratios_are_of_the_same_round():
    def sample(system: str, turn: int, seconds: float) -> Sample:
        return Sample(system, turn, 1, [[(1, seconds / 10), (10, seconds)]])

    rounds = [("ours", 0, 1.0), ("ours", 1, 2.0), ("other", 0, 3.0), ("other", 1, 6.0)]
    summary = Summary(sample(*one) for one in rounds)
    assert summary.systems == ["ours", "other"]
    assert summary.sizes == [1]
    assert summary.over("ours", "other", 1).mean == pytest.approx(3.0)
    assert summary.spread("ours", 1) == (5.0, 10.0)
    assert summary.of("ours", 1).tokens_per_s == pytest.approx(7.5)


def test_the_configuration_of_the_services_is_one():
    text = services.configuration(engine="native", dtype="int4", sessions=16)
    configuration = tiers.parse(tomllib.loads(text))
    assert configuration.tiers["target"].settings["max_sessions"] == 16
