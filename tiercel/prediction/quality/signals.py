"""Cheap signals of a text and its conversation: lengths, shares of characters, words that tell."""

import math
import re
from collections.abc import Sequence

import numpy as np

from tiercel.prediction.quality.words import MARKS, WORDS
from tiercel.types import Message

_TOKEN = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_CHOICE = re.compile(r"^\s*\(?([A-J])[.)] ", re.MULTILINE)
_SENTENCE = re.compile(r"[.!?](?:\s|$)")

_OF_TEXT = (
    "log_characters",
    "log_words",
    "log_lines",
    "log_sentences",
    "log_numbers",
    "log_largest_number",
    "num_choices",
    "mean_word_length",
    "words_per_sentence",
    "share_digits",
    "share_upper",
    "share_spaces",
    "share_marks",
    "share_beyond_ascii",
    "share_long_words",
    "share_repeated_words",
    "ends_with_question",
    *(f"words_{name}" for name in WORDS),
    *(f"marks_{name}" for name in MARKS),
)
_OF_CONVERSATION = ("log_turns", "log_history_characters", "last_answer_log_characters")
_GIVEN = ("log_ratings", "mean_rating", "log_escalations", "is_ids", "temperature")
NAMES: tuple[str, ...] = (*_OF_TEXT, *_OF_CONVERSATION, *_GIVEN)

_LARGEST = 1e12  # numbers beyond are identifiers


def of_text(text: str) -> tuple[float, ...]:
    """Return one number for each signal of a text."""
    words = [word.lower() for word in _TOKEN.findall(text)]
    known = set(words)
    numbers = _NUMBER.findall(text)
    num_words, num_sentences = len(words), len(_SENTENCE.findall(text))
    return (
        math.log1p(len(text)),
        math.log1p(num_words),
        math.log1p(text.count("\n")),
        math.log1p(num_sentences),
        math.log1p(len(numbers)),
        math.log1p(max((_value(number) for number in numbers), default=0.0)),
        float(len(set(_CHOICE.findall(text)))),
        sum(map(len, words)) / max(1, num_words),
        min(100.0, num_words / max(1, num_sentences)),
        *_shares(text),
        sum(len(word) > 7 for word in words) / max(1, num_words),
        1.0 - len(known) / max(1, num_words),
        float(text.rstrip().endswith("?")),
        *(float(not known.isdisjoint(some)) for some in WORDS.values()),
        *(float(any(mark in text for mark in marks)) for marks in MARKS.values()),
    )


def of_conversation(history: Sequence[Message]) -> tuple[float, float, float]:
    """Return the signals of the messages before the last one."""
    answers = [message for message in history if message.role == "assistant"]
    return (
        math.log1p(len(answers)),
        math.log1p(sum(len(message.content) for message in history if message.role != "system")),
        math.log1p(len(answers[-1].content)) if answers else 0.0,
    )


def _value(number: str) -> float:
    return min(_LARGEST, float(number.replace(",", "")))


def _shares(text: str) -> tuple[float, ...]:
    """Return the shares of digits, capitals, spaces, marks, and characters beyond ASCII."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    if not len(codes):
        return (0.0,) * 5
    digit = (codes >= 48) & (codes <= 57)
    upper = (codes >= 65) & (codes <= 90)
    lower = (codes >= 97) & (codes <= 122)
    space = (codes == 32) | ((codes >= 9) & (codes <= 13))
    beyond = codes > 127
    mark = ~(digit | upper | lower | space | beyond)
    return tuple(float(some.mean()) for some in (digit, upper, space, mark, beyond))
