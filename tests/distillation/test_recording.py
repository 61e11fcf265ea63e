"""A recording holds what plain decoding says, however it was batched and interrupted."""

import json

import pytest
from typer.testing import CliRunner

from tests.distillation.conftest import MAX_NEW_TOKENS, data_folder, prompts_of, record
from tiercel.cli.__main__ import app
from tiercel.decoding import Vocabulary, choose
from tiercel.distillation.prompts import in_turn
from tiercel.distillation.recording import prompt_ids
from tiercel.distillation.shards import read_manifest
from tiercel.engines.language_model import Step
from tiercel.errors import InvalidRequest
from tiercel.types import SamplingParams


def plain(target, prompt, params):
    """Decode one sequence alone."""
    model, tokenizer = target
    size = model.description.vocab_size
    vocabulary = Vocabulary.of([tokenizer.token_bytes(id) for id in range(size)])
    cache, offset, answer = model.open(), 0, []
    tokens = prompt_ids(tokenizer, prompt)
    while len(answer) < MAX_NEW_TOKENS and not (answer and answer[-1] in tokenizer.eos_ids):
        (logits,) = model.extend([Step(cache, tokens, 1)])
        tokens = [choose(logits[0], params, vocabulary, offset)]
        offset = vocabulary.advance(offset, tokens)
        answer += tokens
    return tuple(answer)


def test_answers_are_those_of_plain_decoding(target, tmp_path):
    prompts = prompts_of(7)
    answers = record(target, tmp_path, prompts, num_tokens=12 * MAX_NEW_TOKENS, batch=5)
    assert {round(answer.temperature, 6) for answer in answers} == {0.0, 0.7}
    for answer in answers:
        sampled = SamplingParams(0.7 if answer.temperature else 0.0, seed=answer.seed)
        assert answer.token_ids == plain(target, prompts[answer.row], sampled)


def test_each_prompt_is_answered_greedily_once_and_then_ever_anew(target, tmp_path):
    answers = record(target, tmp_path, prompts_of(3), num_tokens=12 * MAX_NEW_TOKENS)
    done = [answer for answer in answers if answer.job < 9]
    greedy = [answer.row for answer in done if not answer.temperature]
    assert sorted(greedy) == [0, 1, 2]
    assert len({(answer.row, answer.temperature, answer.seed) for answer in done}) == 9


def test_every_kind_is_answered_both_ways(target, tmp_path):
    """Kinds take turns, and so do greedy and sampled answers: neither may follow the other."""
    prompts = prompts_of(16, kinds=("chat", "code"))
    order = in_turn(prompts, seed=0)
    answers = record(target, tmp_path, order, num_tokens=16 * MAX_NEW_TOKENS)
    ways = {(prompts[one.row].kind, one.temperature > 0) for one in answers if one.job < 16}
    assert ways == {("chat", True), ("chat", False), ("code", True), ("code", False)}


def test_without_a_temperature_it_ends_when_every_prompt_is_answered(target, tmp_path):
    answers = record(target, tmp_path, prompts_of(3), num_tokens=10**6, temperature=0.0)
    assert [(answer.job, answer.row) for answer in answers if answer.job < 3] == [
        (0, 0),
        (1, 1),
        (2, 2),
    ]


def test_an_interrupted_recording_goes_on_as_if_it_had_not_been(target, tmp_path):
    def interrupted(count):
        nonlocal num_done
        num_done += 1
        if num_done == 5:
            raise KeyboardInterrupt

    num_done, prompts, most = 0, prompts_of(6), 10 * MAX_NEW_TOKENS
    with pytest.raises(KeyboardInterrupt):
        record(target, tmp_path / "cut", prompts, num_tokens=most, progress=interrupted)
    resumed = record(target, tmp_path / "cut", prompts, num_tokens=most)
    whole = record(target, tmp_path / "whole", prompts, num_tokens=most)
    assert len({answer.job for answer in resumed}) == len(resumed)
    both = set(resumed) & set(whole)
    assert len(both) >= 8
    assert len(list((tmp_path / "cut").glob("shard-*"))) == 2


def test_a_recording_of_another_kind_is_refused(target, tmp_path):
    record(target, tmp_path, prompts_of(2), num_tokens=10)
    with pytest.raises(InvalidRequest, match=r"temperature=0\.2.*0\.7"):
        record(target, tmp_path, prompts_of(2), num_tokens=10, temperature=0.2)


def test_the_command_records_and_takes_up_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("os.nice", (priorities := []).append)
    data = data_folder(tmp_path / "data", own=[f"say {n}" for n in range(5)], mt_bench=["no"])
    command = ["distill", "record", "--data", str(data), "--out", str(tmp_path / "out"), "--engine"]
    command += ["simulated", "--model", "any", "--max-new-tokens", "20", "--batch", "2"]
    first = CliRunner().invoke(app, [*command, "--tokens", "60"])
    assert first.exit_code == 0, first.output
    second = CliRunner().invoke(app, [*command, "--tokens", "120"])
    assert "120 tokens of 6 answers" in second.stderr
    assert json.loads((tmp_path / "out/manifest.json").read_text())["model"] == "any"
    assert list(read_manifest(tmp_path / "out").data) == ["own"]
    assert priorities == [10, 10]
    other = CliRunner().invoke(app, [*command, "--seed", "3"])
    assert (other.exit_code, "seed" in other.stderr) == (1, True)
