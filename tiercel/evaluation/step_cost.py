"""Seconds that an answer costs in replay: recorded counts times what steps take on an idle machine.

Wall seconds of a collection are no price, for others ran beside it. All work of all tiers is
charged, one step after the other: nothing is assumed to overlap.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from tiercel.errors import InvalidRequest
from tiercel.evaluation.chain_replay import Flags, replayed
from tiercel.evaluation.outcomes import Outcome
from tiercel.whole_files import write_whole

STEP_TIMES_FILE = "step_times.json"
PASSES, PROMPT_TOKENS, PROMPTS = "passes", "prompt_tokens", "prompts"


class TierTimes(BaseModel):
    """What one tier's steps take, in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    numerics_id: str = ""  # of the build and machine that were timed
    threads: int = 0  # of a pass; 0: one for each core
    prefill_s: float  # of any prompt, beside its tokens
    prompt_token_s: float
    pass_s: dict[int, float]  # by the tokens of a pass; 1 among them

    @field_validator("pass_s")
    @classmethod
    def _begins_at_one(cls, pass_s: dict[int, float]) -> dict[int, float]:
        if 1 not in pass_s or min(pass_s) < 1:
            raise ValueError("needs the seconds of a pass over one token, and of no narrower one")
        return dict(sorted(pass_s.items()))

    def prefill_seconds(self, num_tokens: int) -> float:
        """Return the seconds of a prompt of so many tokens; its last row gives the first token."""
        return self.prefill_s + num_tokens * self.prompt_token_s

    def pass_seconds(self, width: int) -> float:
        """Return the seconds of a pass over `width` tokens, at least one.

        On straight lines between the widths that were timed, and on the last of them beyond.
        """
        widths = list(self.pass_s)
        if width in self.pass_s or len(widths) == 1:
            return self.pass_s[min(width, widths[-1])]
        place = min(bisect_left(widths, width), len(widths) - 1)
        low, high = widths[place - 1], widths[place]
        slope = (self.pass_s[high] - self.pass_s[low]) / (high - low)
        return self.pass_s[low] + slope * (width - low)


class StepTimes(BaseModel):
    """The times of all tiers, on one machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    tiers: dict[str, TierTimes]

    @classmethod
    def load(cls, path: Path) -> "StepTimes":
        """Return what a file holds; raises InvalidRequest for one that is missing or broken."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InvalidRequest("step times", str(path), error.strerror or str(error)) from None
        except ValidationError as error:
            raise InvalidRequest("step times", str(path), error.errors()[0]["msg"]) from None

    def save(self, path: Path) -> None:
        """Write the times to a file, which appears whole."""
        write_whole(path, self.model_dump_json(indent=1).encode() + b"\n")

    def of(self, tier: str) -> TierTimes:
        """Return a tier's times; raises InvalidRequest for one that was not timed."""
        if tier not in self.tiers:
            why = "its steps were not timed: tiercel eval calibrate does, --leave-out does without"
            raise InvalidRequest("tier", tier, why)
        return self.tiers[tier]


def pass_count(width: int, tier: str) -> str:
    """Return the name under which passes over `width` tokens are counted: `passes@5.TIER`."""
    return f"{PASSES}.{tier}" if width == 1 else f"{PASSES}@{width}.{tier}"


def seconds(counts: Mapping[str, int], times: StepTimes) -> float:
    """Return what the counted work takes, prompts included.

    Counts are named `what.TIER`. `prompts.TIER` counts the prompts that `prompt_tokens.TIER` are
    of; without it they are of one. Others than these and passes are no work. Raises
    InvalidRequest for a tier that was not timed.
    """
    return sum(_seconds(name, count, counts, times) for name, count in counts.items() if count)


def replay_seconds(outcome: Outcome, times: StepTimes) -> float:
    """Return what an answer of the matrix takes; raises InvalidRequest as `seconds` does."""
    return seconds(outcome.counts, times)


@dataclass(frozen=True)
class PairTimes:
    """A root and what drafts for it losslessly; one that looks tokens up takes no time."""

    root: TierTimes
    drafter: TierTimes | None = None
    round_trip_s: float = 0.0  # of a block


@dataclass(frozen=True)
class Asked:
    """What an answer was asked with; a drafter of another tokenizer reads other prompt tokens."""

    num_prompt_tokens: int
    max_new_tokens: int | None = None
    num_drafter_prompt_tokens: int | None = None


def chain_seconds(
    matches: Flags,
    times: PairTimes,
    num_speculative_tokens: int,
    asked: Asked,
    said: Flags | None = None,
) -> float:
    """Return what an answer takes with a drafter whose choices match it so; no estimate.

    Block by block as `replayed` says, which also explains `matches` and `said`, with both prompts.
    """
    blocks = replayed(
        matches, num_speculative_tokens, said=said, max_new_tokens=asked.max_new_tokens
    )
    total = times.root.prefill_seconds(asked.num_prompt_tokens)
    total += _passes(blocks.root, times.root) + blocks.num_blocks * times.round_trip_s
    if times.drafter is None:
        return total
    own = asked.num_drafter_prompt_tokens
    read = asked.num_prompt_tokens if own is None else own
    return total + times.drafter.prefill_seconds(read) + _passes(blocks.drafter, times.drafter)


def _passes(widths: Counter[int], times: TierTimes) -> float:
    return sum(count * times.pass_seconds(width) for width, count in widths.items())


def _seconds(name: str, count: int, counts: Mapping[str, int], times: StepTimes) -> float:
    what, _, tier = name.partition(".")
    kind, _, width = what.partition("@")
    if kind == PASSES:
        return count * times.of(tier).pass_seconds(int(width or 1))
    if kind == PROMPT_TOKENS:
        one = times.of(tier)
        return counts.get(f"{PROMPTS}.{tier}", 1) * one.prefill_s + count * one.prompt_token_s
    return 0.0
