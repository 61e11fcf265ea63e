"""A model that only takes time, for tests of scale: its next token is a hash of the prefix.

Named `NAME?key=value&...`, with the fields of `SimulatedSettings` as keys. A model of another
`acceptance` but equal seed agrees with the one of acceptance 1 at that share of the positions.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from urllib.parse import parse_qsl

import numpy as np
from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from tiercel.engines.checks import check_prefix, check_steps
from tiercel.engines.language_model import Cache, Logits, Step
from tiercel.engines.numerics import numerics_id
from tiercel.errors import InvalidRequest
from tiercel.types import ModelDescription

_MASK = (1 << 64) - 1
_BEST = 30.0  # the best token's logit; all others have 0
_MAX_LENGTH = 8192
_MAX_BATCH_ROWS = 256


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SimulatedSettings:
    """How long a pass takes, and how often the model agrees with the target of its seed."""

    base_s: float = Field(default=0.0, ge=0)
    per_token_s: float = Field(default=0.0, ge=0)
    acceptance: float = Field(default=1.0, ge=0, le=1)
    seed: int = Field(default=0, ge=0)
    busy: bool = False  # burn a core instead of sleeping


class SimulatedCache:
    """The hashes of every prefix of one sequence."""

    def __init__(self, hashes: list[int]) -> None:
        """Start with the hashes of a prefix, the empty one's first."""
        self.hashes = hashes

    @property
    def length(self) -> int:
        """Number of tokens that the cache holds."""
        return len(self.hashes) - 1

    def truncate(self, length: int) -> None:
        """Forget every token from position `length` on; `length` is at most the present one."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot truncate a cache of {self.length} tokens to {length}")
        del self.hashes[length + 1 :]

    def close(self) -> None:
        """Give the memory back; a closed cache may not be used again."""
        self.hashes = []


class SimulatedModel:
    """A language model without weights, over the given range of token ids."""

    def __init__(self, name: str, vocab_size: int, text_ids: Sequence[int]) -> None:
        """Read the settings out of `name`; the tokens are drawn from `text_ids`."""
        self._settings = simulated_settings(name)
        self._text_ids = list(text_ids)
        parts = (f"{key}={value}" for key, value in sorted(asdict(self._settings).items()))
        self._description = ModelDescription(
            name=name,
            engine="simulated",
            dtype="none",
            vocab_size=vocab_size,
            max_length=_MAX_LENGTH,
            numerics_id=numerics_id("simulated", *parts),
            bit_exact=True,
            max_batch_rows=_MAX_BATCH_ROWS,
            copies_prefixes=True,
        )

    @property
    def description(self) -> ModelDescription:
        """What this model is."""
        return self._description

    def open(self, prefix: Cache | None = None, length: int = 0) -> SimulatedCache:
        """Return a new cache that starts as a copy of the first `length` tokens of `prefix`."""
        if prefix is None:
            return SimulatedCache([_mixed(self._settings.seed)])
        source = _own(prefix)
        check_prefix(source.length, length)
        return SimulatedCache(source.hashes[: length + 1])

    def extend(self, steps: Sequence[Step]) -> list[Logits]:
        """Append each step's tokens to its cache, and take the time of one pass over all."""
        vocab_size = self._description.vocab_size
        check_steps(steps, vocab_size=vocab_size, max_length=_MAX_LENGTH)
        self._spend(sum(len(step.tokens) for step in steps))
        return [self._extend_one(step) for step in steps]

    def close(self) -> None:
        """Give back nothing: there is nothing."""

    def _extend_one(self, step: Step) -> Logits:
        hashes = _own(step.cache).hashes
        for token in step.tokens:
            hashes.append(_mixed(hashes[-1] ^ (token + 1)))
        logits = np.zeros((step.num_logits, self._description.vocab_size), np.float32)
        for row, prefix in zip(logits, hashes[len(hashes) - step.num_logits :], strict=True):
            row[self._next_token(prefix)] = _BEST
        return logits

    def _next_token(self, prefix: int) -> int:
        """Return the target's token for a prefix, or the one beside it where we do not agree."""
        choice = prefix % len(self._text_ids)
        agrees = _mixed(prefix) < self._settings.acceptance * (_MASK + 1)
        return self._text_ids[choice if agrees else (choice + 1) % len(self._text_ids)]

    def _spend(self, num_tokens: int) -> None:
        duration = self._settings.base_s + num_tokens * self._settings.per_token_s
        if not self._settings.busy:
            time.sleep(duration)
            return
        end = time.perf_counter() + duration
        while time.perf_counter() < end:
            pass


def simulated_settings(name: str) -> SimulatedSettings:
    """Return the settings behind the question mark of a simulated model's name."""
    values = dict(parse_qsl(name.partition("?")[2]))
    try:
        return SimulatedSettings(**values)  # type: ignore[arg-type]  # pydantic parses the texts
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidRequest("model", name, f"{first['loc'][0]}: {first['msg']}") from error


def _own(cache: Cache) -> SimulatedCache:
    if not isinstance(cache, SimulatedCache) or not cache.hashes:
        raise ValueError("this cache is closed or of another engine")
    return cache


def _mixed(value: int) -> int:
    """Return a 64-bit hash of a 64-bit number (splitmix64's finalizer)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
