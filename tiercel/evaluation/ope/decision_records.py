"""The router's log of decisions, read: fields and lines in any order, types strictly.

Scores stand in the same lines, or come in lines of their own, which name the decision.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tiercel.errors import InvalidRequest

_TOLERANCE = 1e-6
_T = TypeVar("_T", bound=BaseModel)

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Amount = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class LoggedCandidate(_Strict):
    """A plan that was weighed, and what was predicted of it."""

    plan_name: str
    probability: Share
    predicted_s: Amount | None = None
    predicted_quality: Share | None = None
    quality_bound: Share | None = None
    predicted_cost: Amount | None = None
    refused: str = ""  # why it could not be picked


class LoggedWishes(_Strict):
    """What the caller asked for."""

    cost_weight: float | None = None
    target_quality: float | None = None
    max_seconds: float | None = None
    max_cost: float | None = None


class LoggedDecision(_Strict):
    """One decision, by what the router knew, and what came of it if that is known."""

    decision_id: Annotated[str, Field(min_length=1)]
    candidates: Annotated[list[LoggedCandidate], Field(min_length=1)]
    chosen: str
    propensity: Annotated[float, Field(gt=0.0, le=1.0)]
    kind: str = ""
    policy: str = ""
    forced: str = ""
    incumbent: str = ""
    wishes: LoggedWishes = LoggedWishes()
    total_s: Amount | None = None
    score: Share | None = None

    @model_validator(mode="after")
    def _agrees(self) -> "LoggedDecision":
        """Refuse odds that are no odds: rounded or guessed ones bias every estimate."""
        odds = {one.plan_name: one.probability for one in self.candidates}
        if len(odds) < len(self.candidates):
            raise ValueError("a plan stands twice among the candidates")
        if not isclose(sum(odds.values()), 1.0, abs_tol=_TOLERANCE):
            raise ValueError(f"probabilities add up to {sum(odds.values()):.6f}")
        if not isclose(odds.get(self.chosen, 0.0), self.propensity, abs_tol=_TOLERANCE):
            raise ValueError("the propensity is not the probability of the chosen plan")
        return self


class _Score(_Strict):
    decision_id: Annotated[str, Field(min_length=1)]
    score: Share


@dataclass(frozen=True)
class Log:
    """Decisions by a policy, and how many lines were left out because nothing was decided."""

    decisions: tuple[LoggedDecision, ...]
    num_requested: int  # the caller named the plan


def read_log(paths: Sequence[Path], score_paths: Sequence[Path] = ()) -> Log:
    """Return the decisions of some files with their scores; several scores of one are averaged.

    Raises InvalidRequest that names the line: for one that is no JSON, of another type, with odds
    that do not agree, or that tells a decision again in another way.
    """
    scores = defaultdict(list)
    for where, text in _lines(score_paths):
        one = _parsed(_Score, where, text)
        scores[one.decision_id].append(one.score)
    by_id: dict[str, LoggedDecision] = {}
    num_requested = 0
    for where, text in _lines(paths):
        if _is_requested(where, text):
            num_requested += 1
            continue
        decision = _parsed(LoggedDecision, where, text)
        if by_id.setdefault(decision.decision_id, decision) != decision:
            raise InvalidRequest(where, decision.decision_id, "is told twice, in two ways")
    return Log(tuple(_scored(by_id.values(), scores)), num_requested)


def _scored(
    decisions: Iterable[LoggedDecision], scores: dict[str, list[float]]
) -> Iterator[LoggedDecision]:
    for one in decisions:
        own = scores.get(one.decision_id, [])
        own = own if one.score is None else [one.score, *own]
        yield one.model_copy(update={"score": sum(own) / len(own)}) if own else one


def _lines(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidRequest("log", str(path), str(error)) from None
        for number, line in enumerate(content.split("\n"), 1):
            if line.strip():
                yield f"{path.name}:{number}", line


def _is_requested(where: str, text: str) -> bool:
    """Tell a plan that the caller chose: no policy weighed anything."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(where, text[:80], str(error)) from None
    return isinstance(content, dict) and content.get("policy") == "requested"


def _parsed(kind: type[_T], where: str, text: str) -> _T:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidRequest(where, text[:80], f"{place}: {first['msg']}") from None
