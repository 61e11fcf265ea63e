"""Numbers that say what kind of prompt it is: cheap, pinned, and the same on every machine.

A change of any value is a change of VERSION: models name the version that they were fitted on.
"""

import math
import re
from zlib import crc32

import numpy as np
import numpy.typing as npt

from tiercel.wire.requests import Prompt, TokenIds

VERSION = 1
_NUM_HASHED = 16

# A feature is 1 if one of its words stands in the prompt, whole and in any case.
_WORDS = {
    "asks": "what who when where which why how is are does did can",
    "summarizes": "summarize summarise summary shorten condense tldr gist",
    "translates": "translate translation french german spanish italian english latin",
    "extracts": "extract list find name table json csv rewrite copy correct",
    "codes": "code function python javascript sql bash class bug program regex rust",
    "calculates": "calculate compute solve sum percent average equation many much total",
    "writes": "write story poem essay letter email describe imagine speech",
    "explains": "explain reason because compare difference steps prove",
}
_WORD_SETS = {name: frozenset(words.split()) for name, words in _WORDS.items()}
_CODE_MARKS = ("```", "def ", "();", "{\n", "</", "==", "=>", "import ", "SELECT ", "#include")
_TOKEN = re.compile(r"[^\W\d_]+|\d+")

_COUNTS = (
    "log_characters",
    "log_words",
    "log_lines",
    "log_turns",
    "mean_word_length",
    "share_digits",
    "share_upper",
    "share_spaces",
    "share_marks",
    "share_beyond_ascii",
    "share_repeated_words",
    "num_code_marks",
    "ends_with_question",
    "is_ids",
    "temperature",
)
NAMES: tuple[str, ...] = (
    *_COUNTS,
    *_WORD_SETS,
    *(f"word_hash_{index}" for index in range(_NUM_HASHED)),
)


def features(prompt: Prompt, *, temperature: float) -> npt.NDArray[np.float32]:
    """Return one number for each of NAMES, shape [len(NAMES)]."""
    text, num_turns = _text(prompt)
    words = [word.lower() for word in _TOKEN.findall(text)]
    known = set(words)
    hashed = np.zeros(_NUM_HASHED)
    for word in known:
        hashed[crc32(word.encode()) % _NUM_HASHED] += 1.0
    values = [
        *_counts(text, words, num_turns),
        float(isinstance(prompt, TokenIds)),
        temperature,
        *(float(not known.isdisjoint(some)) for some in _WORD_SETS.values()),
        *(hashed / max(1.0, math.sqrt(len(known)))),
    ]
    return np.asarray(values, dtype=np.float32)


def _text(prompt: Prompt) -> tuple[str, int]:
    """Return all that is to be read, and the number of turns; ids have their length only."""
    if isinstance(prompt, TokenIds):
        return " " * len(prompt.token_ids), 1
    if isinstance(prompt, str):
        return prompt, 1
    return "\n".join(message.content for message in prompt), len(prompt)


def _counts(text: str, words: list[str], num_turns: int) -> list[float]:
    length = max(1, len(text))
    marks = sum(not (one.isalnum() or one.isspace()) for one in text)
    return [
        math.log1p(len(text)),
        math.log1p(len(words)),
        math.log1p(text.count("\n")),
        math.log1p(num_turns),
        sum(map(len, words)) / max(1, len(words)),
        sum(one.isdigit() for one in text) / length,
        sum(one.isupper() for one in text) / length,
        sum(one.isspace() for one in text) / length,
        marks / length,
        sum(ord(one) > 127 for one in text) / length,
        1.0 - len(set(words)) / max(1, len(words)),
        float(sum(mark in text for mark in _CODE_MARKS)),
        float(text.rstrip().endswith("?")),
    ]
