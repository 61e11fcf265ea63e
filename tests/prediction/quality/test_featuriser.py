"""The rows of the quality predictor: pinned, for models name the definition of their features."""

import numpy as np
import pytest

from tiercel.prediction.quality import featuriser
from tiercel.prediction.quality.featuriser import (
    NUM_BUCKETS,
    NUM_FEATURES,
    Conversation,
    definition_hash,
    features,
)
from tiercel.prediction.quality.signals import NAMES
from tiercel.types import Message
from tiercel.wire.requests import TokenIds

# Of version 3: a change of any of these asks for a new VERSION.
DEFINITION = "7ae05eae9721f2518dc2b47b11d5373d420636aa83642ad6348d6c71f8de5d03"
PROMPT = "If 3 pens cost $4.50, what does each pen cost?\nA. $1\nB. $1.50\nAnswer:"
BUCKETS = {
    578: 0.264906,
    2908: 0.229416,
    2663: 0.187317,
    2990: 0.187317,
    4023: 0.187317,
    4729: 0.187317,
}
SIGNALS = {
    "log_characters": 4.248495,
    "log_words": 2.484907,
    "log_lines": 1.386294,
    "log_sentences": 1.386294,
    "log_numbers": 1.609438,
    "log_largest_number": 1.704748,
    "num_choices": 2.0,
    "mean_word_length": 3.363636,
    "words_per_sentence": 3.666667,
    "share_digits": 0.115942,
    "share_upper": 0.057971,
    "share_spaces": 0.202899,
    "share_marks": 0.144928,
    "share_repeated_words": 0.090909,
    "words_asks": 1.0,
    "words_counts": 1.0,
    "words_buys": 1.0,
    "words_supposes": 1.0,
    "temperature": 0.5,
}


def signals(row: np.ndarray) -> dict[str, float]:
    return dict(zip(NAMES, row[NUM_BUCKETS:].tolist(), strict=True))


def test_the_rows_are_those_of_this_version():
    row = features(PROMPT, temperature=0.5)
    assert (featuriser.VERSION, definition_hash()) == (3, DEFINITION)
    largest = np.argsort(-row[:NUM_BUCKETS], kind="stable")[: len(BUCKETS)]
    assert {int(at): float(row[at]) for at in largest} == pytest.approx(BUCKETS, rel=1e-5)
    read = signals(row)
    assert {name: read[name] for name in SIGNALS} == pytest.approx(SIGNALS, rel=1e-5)


def test_any_prompt_has_a_finite_row_with_n_grams_of_length_one_or_none():
    odd = ("", " ", "\ud800 half a character", "x" * 20_000, "1" * 400, "ß" * 50)
    for prompt in (*odd, PROMPT, (Message("user", PROMPT),), TokenIds((1, 2, 3), "f")):
        row = features(prompt, temperature=0.0)
        assert row.shape == (NUM_FEATURES,)
        assert row.dtype == np.float32
        assert np.isfinite(row).all()
        assert (
            np.linalg.norm(row[:NUM_BUCKETS]) == pytest.approx(1.0) or not row[:NUM_BUCKETS].any()
        )


def test_the_last_question_is_hashed_and_what_was_said_before_is_counted():
    alone = features((Message("user", PROMPT),), temperature=0.0)
    later = features(
        (
            Message("system", "Be brief."),
            Message("user", "Hello!"),
            Message("assistant", "Hello, what can I do?"),
            Message("user", PROMPT),
        ),
        temperature=0.0,
    )
    assert (alone[:NUM_BUCKETS] == later[:NUM_BUCKETS]).all()
    first, second = signals(alone), signals(later)
    assert first["log_turns"] == first["log_history_characters"] == 0.0
    assert second["log_turns"] == pytest.approx(np.log(2))
    assert second["log_history_characters"] == pytest.approx(np.log1p(6 + 21))


def test_ratings_and_escalations_of_a_session_are_read():
    liked = features(PROMPT, temperature=0.0, conversation=Conversation(2, 1.0, 0))
    escalated = features(PROMPT, temperature=0.0, conversation=Conversation(2, 0.0, 3))
    changed = {name for name in NAMES if signals(liked)[name] != signals(escalated)[name]}
    assert changed == {"mean_rating", "log_escalations"}
    unrated = features(PROMPT, temperature=0.0, conversation=Conversation(0, 1.0, 0))
    assert (unrated == features(PROMPT, temperature=0.0)).all()


def test_the_end_of_a_long_text_is_read():
    filler = "word " * 2000
    asked = [features(filler + end, temperature=0.0) for end in ("Translate it.", "Sum it up.")]
    assert (asked[0][:NUM_BUCKETS] != asked[1][:NUM_BUCKETS]).any()
