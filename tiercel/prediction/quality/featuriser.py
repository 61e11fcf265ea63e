"""Prompts as rows of numbers for the quality predictor: hashed n-grams, signals of the text and
of its conversation. Pinned: a model names the definition that it was fitted on.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tiercel.prediction.quality import signals
from tiercel.prediction.quality.words import MARKS, WORDS
from tiercel.types import Message
from tiercel.wire.requests import Prompt, TokenIds

Floats = NDArray[np.float32]
Embedder = Callable[[str], Floats]
"""Returns the embedding of a text, [size]."""

VERSION = 3
NUM_BUCKETS = 8192
NUM_FEATURES = NUM_BUCKETS + len(signals.NAMES)
# Of a longer text, the beginning and the end are hashed: what is asked for stands there.
_HEAD, _TAIL = 3000, 1000
_WORD = re.compile(r"[^\W\d_]+|\d|[^\w\s]")


@dataclass(frozen=True)
class Conversation:
    """What is known of a session beside its messages."""

    num_ratings: int = 0
    mean_rating: float = 0.0  # in [0, 1]; nothing is read of it without ratings
    num_escalations: int = 0  # answers that a larger tier had to take over


def features(
    prompt: Prompt,
    *,
    temperature: float,
    conversation: Conversation | None = None,
    embedding: Embedder | None = None,
) -> Floats:
    """Return a row of shape [NUM_FEATURES]: n-grams of the last message, then signals.

    With an embedder, [NUM_FEATURES + size]: the embedding of that message comes last.
    """
    text, history = _last_message(prompt)
    session = conversation or Conversation()
    row = np.zeros(NUM_FEATURES, np.float32)
    for bucket, number in _bucket_counts(text).items():
        row[bucket] = number
    hashed = row[:NUM_BUCKETS]
    np.sqrt(hashed, out=hashed)
    hashed /= max(1.0, float(np.linalg.norm(hashed)))
    row[NUM_BUCKETS:] = (
        *signals.of_text(text),
        *signals.of_conversation(history),
        np.log1p(session.num_ratings),
        session.mean_rating - 0.5 if session.num_ratings else 0.0,
        np.log1p(session.num_escalations),
        float(isinstance(prompt, TokenIds)),
        temperature,
    )
    return row if embedding is None else np.concatenate((row, embedding(_cut(text))))


@cache
def definition_hash() -> str:
    """Return the hex sha256 of all that a row depends on, the hashing of some texts included."""
    probes = ("", "What is 2 + 2?", "Straße, naïve café; x_1 = 3.14", "def f(x):\n    return x")
    what = {
        "version": VERSION,
        "buckets": NUM_BUCKETS,
        "cut": [_HEAD, _TAIL],
        "words": _WORD.pattern,
        "signals": signals.NAMES,
        "lists": {name: sorted(some) for name, some in {**WORDS, **MARKS}.items()},
        "probes": [sorted(_bucket_counts(text).items()) for text in probes],
    }
    return sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _last_message(prompt: Prompt) -> tuple[str, tuple[Message, ...]]:
    """Return the text that is to be answered, and the messages before it; ids say nothing."""
    if isinstance(prompt, TokenIds):
        return "", ()
    if isinstance(prompt, str):
        return prompt, ()
    asked = [index for index, message in enumerate(prompt) if message.role == "user"]
    last = asked[-1] if asked else len(prompt) - 1
    return prompt[last].content, prompt[:last]


def _bucket_counts(text: str) -> Counter[int]:
    """Return how many words and pairs of words fall into each bucket."""
    words = _WORD.findall(_cut(text).lower())
    counts = Counter(map(_bucket, words))
    counts.update(_bucket(f"{one} {two}") for one, two in pairwise(words))
    return counts


def _cut(text: str) -> str:
    return text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]} {text[-_TAIL:]}"


@lru_cache(maxsize=1 << 15)
def _bucket(text: str) -> int:
    return crc32(text.encode("utf-8", "surrogatepass")) % NUM_BUCKETS
