"""The features: pinned to the last bit, for models name their version."""

import numpy as np
import pytest

from tiercel.prediction.features import NAMES, VERSION, features
from tiercel.prediction.records import read_prompts
from tiercel.types import Message
from tiercel.wire.requests import TokenIds

# Of version 1: a change of any of these asks for a new VERSION.
GOLDEN = {
    "log_characters": 3.9318256,
    "log_words": 2.4849067,
    "log_lines": 0.6931472,
    "share_digits": 0.04,
    "num_code_marks": 1.0,
    "asks": 1.0,
    "codes": 1.0,
    "translates": 0.0,
    "word_hash_3": 0.31622776,
}
PROMPT = "What does this Python code print?\ndef f(x): 42 + x"


def test_there_is_a_number_for_every_name():
    for prompt in ("", PROMPT, (Message("user", PROMPT),), TokenIds((1, 2, 3), "f")):
        row = features(prompt, temperature=0.5)
        assert row.shape == (len(NAMES),)
        assert row.dtype == np.float32
        assert np.isfinite(row).all()


def test_the_values_are_those_of_this_version():
    row = dict(zip(NAMES, features(PROMPT, temperature=0.0).tolist(), strict=True))
    assert VERSION == 1
    assert {name: row[name] for name in GOLDEN} == pytest.approx(GOLDEN, rel=1e-6)


def test_a_conversation_of_one_turn_reads_as_its_text():
    as_text = features(PROMPT, temperature=0.0)
    as_turn = features((Message("user", PROMPT),), temperature=0.0)
    assert as_text.tolist() == as_turn.tolist()


def test_prompts_of_different_kinds_differ():
    prompts = read_prompts()
    rows = {tuple(features(line.prompt, temperature=0.0).tolist()) for line in prompts}
    assert len(rows) == len(prompts) >= 60
    assert len({line.kind for line in prompts}) >= 8
