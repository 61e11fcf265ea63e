"""What every chain over measured tiers is predicted to take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveInt,
    ValidationError,
)

from tiercel.decoding.chain_cost import Level, StepTime
from tiercel.decoding.chain_time import (
    Beginning,
    Chain,
    best_chain,
    predicted_seconds,
    seconds_per_token,
)
from tiercel.errors import InvalidRequest
from tiercel.learning import LearnedPolicy
from tiercel.plan_text import Outline
from tiercel.types import Plan

# All block lengths are tried: with more tiers in a row that would take minutes.
_MAX_TIERS = 4


class _Measured(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TierTimes(_Measured):
    """Times of one tier; a drafter without a model has a `token_s` and no passes."""

    # Of a pass, by its width in tokens.
    step_s: dict[PositiveInt, NonNegativeFloat] = Field(default_factory=dict)
    token_s: float | None = Field(default=None, ge=0)
    prefill_s_per_token: float = Field(default=0.0, ge=0)
    load_s: float = Field(default=0.0, ge=0)
    queue_s: float = Field(default=0.0, ge=0)

    def over(self, other: "TierTimes") -> "TierTimes":
        """Return both; what was said here is right."""
        said = {field: getattr(self, field) for field in self.model_fields_set}
        return other.model_copy(update=said)

    def step(self) -> StepTime:
        """Return the seconds of a pass by its width: lines between what was measured, and on."""
        widths = np.array(sorted(self.step_s), float)
        times = np.array([self.step_s[int(width)] for width in widths])
        slope = (times[-1] - times[-2]) / (widths[-1] - widths[-2]) if len(widths) > 1 else 0.0

        def seconds(num_tokens: int) -> float:
            beyond = max(0.0, num_tokens - widths[-1]) * slope
            return float(np.interp(num_tokens, widths, times) + beyond)

        return seconds

    def draft_s(self) -> float | None:
        """Return the seconds of a drafted token; None if nothing says it."""
        if self.token_s is not None:
            return self.token_s
        return self.step()(1) if self.step_s else None


class PairRate(_Measured):
    """How a drafter does under one parent."""

    drafter: str
    verifier: str
    acceptance_rate: float = Field(ge=0, le=1)
    round_trip_s: float = Field(default=0.0, ge=0)
    # Of look-ups, which often have nothing to propose: a first token, then each further one.
    start_rate: float = Field(default=1.0, ge=0, le=1)
    continue_rate: float = Field(default=1.0, ge=0, le=1)


class Measurements(_Measured):
    """All that was measured."""

    tiers: dict[str, TierTimes] = Field(default_factory=dict)
    pairs: tuple[PairRate, ...] = ()

    def over(self, other: "Measurements") -> "Measurements":
        """Return both; where they speak of the same tier or pair, this one is right."""
        own = {(pair.drafter, pair.verifier) for pair in self.pairs}
        others = (pair for pair in other.pairs if (pair.drafter, pair.verifier) not in own)
        tiers = other.tiers | {
            name: times.over(other.tiers.get(name, TierTimes()))
            for name, times in self.tiers.items()
        }
        return Measurements(tiers=tiers, pairs=(*self.pairs, *others))

    def unknown(self) -> list[str]:
        """Return the names in pairs of which no times are known."""
        names = {name for pair in self.pairs for name in (pair.drafter, pair.verifier)}
        return sorted(names - self.tiers.keys())


@dataclass(frozen=True)
class Prediction:
    """A chain with the best block lengths, and what it takes."""

    root: str
    plan: str
    token_s: float  # of a long answer
    answer_s: float


def read_measurements(path: Path) -> Measurements:
    """Return what a JSON file says; raises InvalidRequest with the key that is wrong."""
    try:
        return Measurements.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidRequest("data", str(path), error.strerror or "cannot be read") from None
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]) or "data"
        raise InvalidRequest(key, problem["input"], problem["msg"]) from None


def learned_measurements(policy: LearnedPolicy, kind: str) -> Measurements:
    """Return what feedback learned of requests of a kind ("": of all).

    It knows one time of a pass, at the widths that came; round trips it does not know.
    """
    pairs = [pair for pair in policy.pairs if pair.kind == kind]
    tiers = {
        pair.drafter: TierTimes(token_s=pair.draft_s_per_token)
        for pair in pairs
        if pair.draft_s_per_token > 0  # else it never drafted, and its time is not known
    }
    for pair in pairs:
        if pair.verify_s_per_pass > 0:
            drafted_s = tiers.get(pair.verifier, TierTimes()).token_s
            tiers[pair.verifier] = TierTimes(step_s={1: pair.verify_s_per_pass}, token_s=drafted_s)
    rates = (
        PairRate(drafter=p.drafter, verifier=p.verifier, acceptance_rate=p.acceptance_rate)
        for p in pairs
    )
    return Measurements(tiers=tiers, pairs=tuple(rates))


def predictions(
    measured: Measurements, *, num_tokens: int, num_prompt_tokens: int, limit: int
) -> list[Prediction]:
    """Return every chain, block lengths up to `limit`, by root and the quickest first.

    Raises InvalidRequest if there is no tier that could answer.
    """
    roots = [name for name, times in measured.tiers.items() if times.step_s]
    if not roots:
        raise InvalidRequest("tiers", list(measured.tiers), "none has a time of a pass (step_s)")
    found = []
    for names in (names for root in roots for names in _chains(measured, (root,))):
        chain = _best(measured, names, limit)
        if chain is None:
            continue
        beginning = beginning_of(measured, names[0], num_prompt_tokens)
        answer_s = predicted_seconds(chain, num_tokens, beginning)
        plan = _written(names, chain.lengths)
        found.append(Prediction(names[0], plan, seconds_per_token(chain), answer_s))
    return sorted(found, key=lambda one: (roots.index(one.root), one.answer_s))


def beginning_of(measured: Measurements, root: str, num_prompt_tokens: int) -> Beginning:
    """Return what passes before a root's first token."""
    times = measured.tiers[root]
    prefill_s = times.prefill_s_per_token * num_prompt_tokens
    return Beginning(prefill_s, times.load_s, times.queue_s)


def chain_of(measured: Measurements, plan: Plan) -> Chain:
    """Return the chain that a plan is, with the plan's own block lengths.

    Raises InvalidRequest for several drafters of one tier, and where something was not measured.
    """
    parts = [plan]
    while parts[-1].drafters:
        parts += parts[-1].drafters
    names = [part.tier for part in parts]
    known = {(pair.verifier, pair.drafter) for pair in measured.pairs}
    is_chain = all(len(part.drafters) < 2 for part in parts)
    if not is_chain or not known.issuperset(pairwise(names)):
        raise InvalidRequest("plan", names, "is no chain of pairs that were measured")
    verifiers = names[:-1] or names
    draft_s = _draft_s(measured, names)
    if draft_s is None or not all(measured.tiers[name].step_s for name in verifiers):
        raise InvalidRequest("plan", names, "has a tier whose times were not measured")
    lengths = tuple(part.num_speculative_tokens for part in reversed(parts[1:]))
    return Chain(draft_s, tuple(_levels(measured, names)), lengths or (0,))


def _chains(measured: Measurements, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield every chain that begins with `names`, the root first."""
    yield names
    if len(names) == _MAX_TIERS or not measured.tiers[names[-1]].step_s:
        return
    for pair in measured.pairs:
        is_new = pair.drafter in measured.tiers and pair.drafter not in names
        if pair.verifier == names[-1] and is_new:
            yield from _chains(measured, (*names, pair.drafter))


def _best(measured: Measurements, names: Sequence[str], limit: int) -> Chain | None:
    """Return the chain with its best lengths; None if its last tier cannot draft."""
    draft_s, levels = _draft_s(measured, names), _levels(measured, names)
    if draft_s is None:
        return None
    if len(names) == 1:
        return Chain(draft_s, tuple(levels), (0,))
    return best_chain(draft_s, levels, limit)


def _draft_s(measured: Measurements, names: Sequence[str]) -> float | None:
    """Return the seconds of a token of the lowest drafter, 0 if there is none."""
    return 0.0 if len(names) == 1 else measured.tiers[names[-1]].draft_s()


def _levels(measured: Measurements, names: Sequence[str]) -> list[Level]:
    """Return the verifying tiers, lowest first; a root that is alone is one."""
    if len(names) == 1:
        return [Level(measured.tiers[names[0]].step(), 0.0)]
    rates = {(pair.drafter, pair.verifier): pair for pair in measured.pairs}
    levels = []
    for verifier, drafter in reversed(list(pairwise(names))):
        pair, step = rates[drafter, verifier], measured.tiers[verifier].step()
        rest = (pair.round_trip_s, pair.start_rate, pair.continue_rate)
        levels.append(Level(step, pair.acceptance_rate, *rest))
    return levels


def _written(names: Sequence[str], lengths: Sequence[int]) -> str:
    """Return the plan as text; `lengths` lowest first."""
    if len(names) == 1:
        return names[0]
    outline = Outline(names[-1], lengths[0])
    for name, length in zip(reversed(names[1:-1]), lengths[1:], strict=True):
        outline = Outline(name, length, drafters=(outline,))
    return str(Outline(names[0], drafters=(outline,)))
