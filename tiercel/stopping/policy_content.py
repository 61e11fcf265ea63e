"""What stands in a stopping policy's file, part by part, and linear functions to and from it."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from tiercel.errors import ModelUnavailable
from tiercel.stopping.policy import StoppingPolicy
from tiercel.stopping.ridge import Linear
from tiercel.stopping.starts import Start

SCHEMA: Literal[2] = 2
_MAX_STAGES = 8


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnPart(_Part):
    """A column of a linear function."""

    mean: FiniteFloat
    scale: Annotated[FiniteFloat, Field(gt=0)]
    weight: FiniteFloat


class LinearPart(_Part):
    """A linear function by the names of its columns."""

    num_parameters: FiniteFloat
    intercept: FiniteFloat
    columns: dict[str, ColumnPart]


class ScorePart(_Part):
    """Of which quality a stage's answers are taken to be."""

    stage: str
    quality: LinearPart


class ContinuationPart(_Part):
    """A way on from a stage to a later one."""

    stage: str
    following: str
    mean_seconds: FiniteFloat
    kind_seconds: dict[str, FiniteFloat]
    gain: LinearPart


class StartPart(_Part):
    """What beginning at a stage is worth; `ends` by later stage."""

    stage: str
    mean_seconds: FiniteFloat
    kind_seconds: dict[str, FiniteFloat]
    quality: LinearPart
    gain: LinearPart
    seconds_after: LinearPart
    ends: dict[str, LinearPart]


class PolicyContent(_Part):
    """What stands in the file, in this order."""

    schema_version: Literal[1, 2] = SCHEMA
    trained_on: Annotated[str, Field(max_length=1000)]
    cost_weight: Annotated[FiniteFloat, Field(ge=0)]
    recall: bool
    prefix_tokens: Annotated[int, Field(ge=1)] | None
    stages: Annotated[tuple[str, ...], Field(min_length=1, max_length=_MAX_STAGES)]
    stage_digests: tuple[str, ...]
    kinds: tuple[str, ...]
    evidence_names: tuple[str, ...]
    scores: tuple[ScorePart, ...]
    continuations: tuple[ContinuationPart, ...]
    # From version 2 on.
    reads_forecasts: bool = False
    starts: tuple[StartPart, ...] = ()


def starts_to_parts(policy: StoppingPolicy) -> tuple[StartPart, ...]:
    """Return what the file says of starts."""
    kinds, names = _kinds(policy.scores.kinds), policy.stages
    columns = _start_columns(names, kinds, policy.reads_forecasts)
    return tuple(
        StartPart(
            stage=names[each.stage],
            mean_seconds=each.mean_seconds,
            kind_seconds=dict(each.kind_seconds),
            quality=written(each.quality, kinds),
            gain=written(each.gain, columns),
            seconds_after=written(each.after, columns),
            ends={names[later]: written(chance, columns) for later, chance in each.ends.items()},
        )
        for each in policy.starts
    )


def starts_from_parts(content: PolicyContent) -> tuple[Start, ...]:
    """Return the starts in a file; raises ModelUnavailable if they are not those of its stages."""
    names, kinds = content.stages, _kinds(content.kinds)
    columns = _start_columns(names, kinds, content.reads_forecasts)
    if content.starts:
        known = tuple(each.stage for each in content.starts)
        refuse_unless(known == names, "starts: not one a stage")
    starts = []
    for at, each in enumerate(content.starts):
        where, later = f"start at {each.stage}", names[at + 1 :]
        refuse_unless(tuple(each.ends) == later, f"{where}: its ends are not the later stages")
        start = Start(
            stage=at,
            mean_seconds=each.mean_seconds,
            kind_seconds=each.kind_seconds,
            quality=read(each.quality, kinds, where),
            gain=read(each.gain, columns, where),
            after=read(each.seconds_after, columns, where),
            ends={
                names.index(name): read(part, columns, where) for name, part in each.ends.items()
            },
        )
        starts.append(start)
    return tuple(starts)


def _start_columns(stages: tuple[str, ...], kinds: list[str], reads_forecasts: bool) -> list[str]:
    if not reads_forecasts:
        return kinds
    return [*(f"forecast {name}" for name in stages), "own forecast squared", *kinds]


def _kinds(kinds: tuple[str, ...]) -> list[str]:
    return [f"kind {kind}" for kind in kinds]


def written(linear: Linear, columns: list[str]) -> LinearPart:
    """Return what the file says of a function of these columns."""
    numbers = zip(
        linear.means.tolist(), linear.scales.tolist(), linear.weights.tolist(), strict=True
    )
    return LinearPart(
        num_parameters=linear.num_parameters,
        intercept=linear.intercept,
        columns={
            name: ColumnPart(mean=mean, scale=scale, weight=weight)
            for name, (mean, scale, weight) in zip(columns, numbers, strict=True)
        },
    )


def read(linear: LinearPart, columns: list[str], where: str) -> Linear:
    """Return the function; raises ModelUnavailable if it is one of other columns."""
    refuse_unless(list(linear.columns) == columns, f"{where}: its columns are not {columns}")
    found = linear.columns.values()
    return Linear(
        means=np.array([each.mean for each in found], np.float64),
        scales=np.array([each.scale for each in found], np.float64),
        weights=np.array([each.weight for each in found], np.float64),
        intercept=linear.intercept,
        num_parameters=linear.num_parameters,
    )


def refuse_unless(holds: bool, why: str) -> None:
    """Raise ModelUnavailable for a file of which this does not hold."""
    if not holds:
        raise ModelUnavailable(why)
