"""The calibration of AGREEMENT: how often a target agrees with drafters that agree; its file.

`tiercel agreement` measures and writes one; a tier that serves the rule reads it.
"""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiercel.errors import ModelUnavailable
from tiercel.whole_files import read_small, write_whole

ALL_KINDS = ""
_FORMAT = "tiercel-agreement-1"
_MAX_BYTES = 1 << 22
_KEYS = {"format", "target", "drafters", "temperature", "measured_on", "kinds"}
_BIN_KEYS = {"sureness", "tokens", "agreed", "prob"}


@dataclass(frozen=True)
class Bin:
    """Tokens on which drafters agreed with a sureness from `sureness` on, up to the next bin's."""

    sureness: float
    num_tokens: int
    num_agreed: int  # of these, the target's own choice too
    prob: float  # that the target agrees, estimated


Bins = tuple[Bin, ...]


@dataclass(frozen=True)
class AgreementTable:
    """P(target agrees | kind of request, drafters that agree, their sureness).

    The sureness of a token is the mean of the probabilities, at temperature 1, that those drafters
    give it which propose it: what of a model's margin travels with a draft.
    """

    target: str
    drafters: tuple[str, ...]
    temperature: float = 0.0  # at which all of them chose
    measured_on: str = ""
    kinds: Mapping[str, Mapping[int, Bins]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path) -> "AgreementTable":
        """Return the table in a file; raises ModelUnavailable, in one line, if it holds none."""
        return read_small(path, _MAX_BYTES, cls.of)

    @classmethod
    def of(cls, content: bytes) -> "AgreementTable":
        """Return the table in a file's content; raises ModelUnavailable if it holds none."""
        _refuse_unless(len(content) <= _MAX_BYTES, f"a table has at most {_MAX_BYTES} bytes")
        try:
            whole = json.loads(content)
        except (ValueError, RecursionError):
            raise ModelUnavailable("no JSON text") from None
        is_ours = isinstance(whole, dict) and whole.get("format") == _FORMAT
        _refuse_unless(is_ours, f"its format is not {_FORMAT}")
        _refuse_unless(set(whole) == _KEYS, f"it has other keys than {', '.join(sorted(_KEYS))}")
        target, drafters, about = whole["target"], whole["drafters"], whole["measured_on"]
        are_texts = isinstance(target, str) and isinstance(about, str)
        _refuse_unless(are_texts, "target and measured_on are to be texts")
        are_names = isinstance(drafters, list) and all(isinstance(one, str) for one in drafters)
        _refuse_unless(are_names, "drafters is no list of names")
        temperature, kinds = whole["temperature"], whole["kinds"]
        is_known = _is_number(temperature) and 0 <= temperature < float("inf")
        _refuse_unless(is_known, "temperature is no number from 0 on")
        _refuse_unless(isinstance(kinds, dict), "kinds is no object")
        tables = {kind: _counts(value, f"kinds[{kind!r}]") for kind, value in kinds.items()}
        return cls(target, tuple(drafters), float(temperature), about, tables)

    def save(self, path: Path) -> None:
        """Write the table; a reader finds the old file or the new one, whole."""
        write_whole(path, self.to_json().encode())

    def to_json(self) -> str:
        """Return the file's text."""
        kinds = {
            kind: {str(count): [_plain(one) for one in bins] for count, bins in counts.items()}
            for kind, counts in self.kinds.items()
        }
        whole = {
            "format": _FORMAT,
            "target": self.target,
            "drafters": list(self.drafters),
            "temperature": self.temperature,
            "measured_on": self.measured_on,
            "kinds": kinds,
        }
        return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"

    def prob(self, kind: str, num_agreeing: int, probs: Sequence[float | None]) -> float:
        """Return the probability that the target agrees with so many drafters.

        `probs` are what these drafters give the token, None where one does not say: that counts as
        unsure. A kind that is not known counts as all kinds together; where nothing was measured
        the probability is 0.
        """
        bins = self._bins(kind, num_agreeing)
        sureness = sureness_of(probs)
        place = bisect_right(bins, sureness, key=lambda one: one.sureness) - 1
        return bins[place].prob if place >= 0 else 0.0

    def _bins(self, kind: str, num_agreeing: int) -> Bins:
        own = self.kinds.get(kind, {}).get(num_agreeing)
        return own or self.kinds.get(ALL_KINDS, {}).get(num_agreeing, ())


def sureness_of(probs: Sequence[float | None]) -> float:
    """Return the mean of probabilities, an unknown one counting as 0."""
    return sum(prob or 0.0 for prob in probs) / len(probs) if probs else 0.0


def _counts(value: Any, where: str) -> dict[int, Bins]:
    _refuse_unless(isinstance(value, dict), f"{where} is no object")
    numbers = {key: key.isdecimal() and len(key) < 4 and int(key) > 0 for key in value}
    _refuse_unless(all(numbers.values()), f"{where} has a key that is no number of drafters")
    return {int(key): _bins(bins, f"{where}[{key}]") for key, bins in value.items()}


def _bins(value: Any, where: str) -> Bins:
    _refuse_unless(isinstance(value, list) and bool(value), f"{where} is no list of bins")
    bins = tuple(_bin(one, f"{where}[{place}]") for place, one in enumerate(value))
    for name in ("sureness", "prob"):
        numbers = [getattr(one, name) for one in bins]
        _refuse_unless(numbers == sorted(numbers), f"{where}: {name} falls from bin to bin")
    return bins


def _bin(value: Any, where: str) -> Bin:
    is_bin = isinstance(value, dict) and set(value) == _BIN_KEYS
    _refuse_unless(is_bin, f"{where} has other keys than {', '.join(sorted(_BIN_KEYS))}")
    for name in ("sureness", "prob"):
        is_share = _is_number(value[name]) and 0 <= value[name] <= 1
        _refuse_unless(is_share, f"{where}.{name} is no number from 0 to 1")
    tokens, agreed = value["tokens"], value["agreed"]
    are_counts = type(tokens) is int and type(agreed) is int and 0 <= agreed <= tokens
    _refuse_unless(are_counts, f"{where}: tokens and agreed are no counts")
    return Bin(float(value["sureness"]), tokens, agreed, float(value["prob"]))


def _plain(one: Bin) -> dict[str, float]:
    return {
        "sureness": one.sureness,
        "tokens": one.num_tokens,
        "agreed": one.num_agreed,
        "prob": one.prob,
    }


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _refuse_unless(holds: bool, why: str) -> None:
    if not holds:
        raise ModelUnavailable(why)
