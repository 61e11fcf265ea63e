"""A stopping policy as a readable JSON file, checked when it is read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from tiercel.errors import ModelUnavailable
from tiercel.stopping.policy import Continuation, StoppingPolicy
from tiercel.stopping.ridge import Linear
from tiercel.stopping.scores import StageScores

SCHEMA: Literal[1] = 1
_MAX_BYTES = 1 << 20
_MAX_STAGES = 8


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Column(_Part):
    mean: FiniteFloat
    scale: Annotated[FiniteFloat, Field(gt=0)]
    weight: FiniteFloat


class _Linear(_Part):
    """A linear function by the names of its columns."""

    num_parameters: FiniteFloat
    intercept: FiniteFloat
    columns: dict[str, _Column]


class _Score(_Part):
    stage: str
    quality: _Linear


class _Continuation(_Part):
    stage: str
    following: str
    mean_seconds: FiniteFloat
    kind_seconds: dict[str, FiniteFloat]
    gain: _Linear


class _File(_Part):
    """What stands in the file, in this order."""

    schema_version: Literal[1] = SCHEMA
    trained_on: Annotated[str, Field(max_length=1000)]
    cost_weight: Annotated[FiniteFloat, Field(ge=0)]
    recall: bool
    prefix_tokens: Annotated[int, Field(ge=1)] | None
    stages: Annotated[tuple[str, ...], Field(min_length=1, max_length=_MAX_STAGES)]
    stage_digests: tuple[str, ...]
    kinds: tuple[str, ...]
    evidence_names: tuple[str, ...]
    scores: tuple[_Score, ...]
    continuations: tuple[_Continuation, ...]


def save(policy: StoppingPolicy, path: Path) -> None:
    """Write the policy; a reader finds the old file or the new one, whole."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(to_json(policy), encoding="utf-8")
    unfinished.replace(path)


def load(path: str | Path, *, evidence_names: Sequence[str] | None = None) -> StoppingPolicy:
    """Return the policy in a file; raises ModelUnavailable, in one line, if it holds none.

    With `evidence_names` a policy that reads other evidence is refused, too.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ModelUnavailable(f"{path}: {error.strerror}") from None
    try:
        policy = of_json(content)
    except ModelUnavailable as error:
        raise ModelUnavailable(f"{path}: {error}") from None
    if evidence_names is not None and policy.evidence_names != tuple(evidence_names):
        raise ModelUnavailable(f"{path}: it reads other evidence than there is")
    return policy


def to_json(policy: StoppingPolicy) -> str:
    """Return the file's text."""
    names, kinds = policy.stages, policy.scores.kinds
    score_columns, gain_columns = _columns(policy.evidence_names, kinds, policy.recall)
    whole = _File(
        trained_on=policy.trained_on,
        cost_weight=policy.cost_weight,
        recall=policy.recall,
        prefix_tokens=policy.prefix_tokens,
        stages=names,
        stage_digests=policy.stage_digests,
        kinds=kinds,
        evidence_names=policy.evidence_names,
        scores=tuple(
            _Score(stage=name, quality=_written(regressor, score_columns))
            for name, regressor in zip(names, policy.scores.regressors, strict=True)
        ),
        continuations=tuple(
            _Continuation(
                stage=names[each.stage],
                following=names[each.following],
                mean_seconds=each.mean_seconds,
                kind_seconds=dict(each.kind_seconds),
                gain=_written(each.gain, gain_columns),
            )
            for each in policy.continuations
        ),
    )
    return whole.model_dump_json(indent=2) + "\n"


def of_json(content: bytes) -> StoppingPolicy:
    """Return the policy in a file's content; raises ModelUnavailable with what is wrong."""
    if len(content) > _MAX_BYTES:
        raise ModelUnavailable(f"a policy has at most {_MAX_BYTES} bytes")
    try:
        whole = _File.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise ModelUnavailable(f"{where}: {first['msg']}") from None
    _check_names(whole)
    score_columns, gain_columns = _columns(whole.evidence_names, whole.kinds, whole.recall)
    regressors = tuple(_read(each.quality, score_columns, each.stage) for each in whole.scores)
    continuations = tuple(_way(each, whole.stages, gain_columns) for each in whole.continuations)
    return StoppingPolicy(
        stages=whole.stages,
        evidence_names=whole.evidence_names,
        prefix_tokens=whole.prefix_tokens,
        cost_weight=whole.cost_weight,
        recall=whole.recall,
        scores=StageScores(whole.kinds, regressors),
        continuations=continuations,
        stage_digests=whole.stage_digests,
        trained_on=whole.trained_on,
    )


def _columns(
    evidence_names: tuple[str, ...], kinds: tuple[str, ...], recall: bool
) -> tuple[list[str], list[str]]:
    """Return the names of the columns of scores and of gains, in their order."""
    evidence = [f"evidence {name}" for name in evidence_names]
    powers = ["score", "score squared"]
    powers += ["best score", "best score squared"] if recall else []
    flags = [f"kind {kind}" for kind in kinds]
    return evidence + flags, evidence + powers + flags


def _check_names(whole: _File) -> None:
    """Refuse names that are there twice, scores of other stages, moves that lead back."""
    unfinished = whole.recall and whole.prefix_tokens is not None
    _refuse_unless(not unfinished, "recall: an unfinished answer cannot be kept")
    for field in ("stages", "kinds", "evidence_names"):
        names = getattr(whole, field)
        _refuse_unless(len(set(names)) == len(names), f"{field}: a name is there twice")
    _refuse_unless(
        tuple(each.stage for each in whole.scores) == whole.stages, "scores: not one a stage"
    )
    digests = len(whole.stage_digests) in (0, len(whole.stages))
    _refuse_unless(digests, "stage_digests: not one a stage")
    moves = [(each.stage, each.following) for each in whole.continuations]
    _refuse_unless(len(set(moves)) == len(moves), "continuations: one is there twice")
    place = {name: at for at, name in enumerate(whole.stages)}
    for stage, following in moves:
        known = stage in place and following in place
        why = f"continuations: {stage} to {following} leads to no later stage"
        _refuse_unless(known and place[stage] < place[following], why)


def _way(each: _Continuation, stages: tuple[str, ...], columns: list[str]) -> Continuation:
    gain = _read(each.gain, columns, f"{each.stage} to {each.following}")
    at, following = stages.index(each.stage), stages.index(each.following)
    return Continuation(at, following, gain, each.mean_seconds, each.kind_seconds)


def _written(linear: Linear, columns: list[str]) -> _Linear:
    numbers = zip(
        linear.means.tolist(), linear.scales.tolist(), linear.weights.tolist(), strict=True
    )
    return _Linear(
        num_parameters=linear.num_parameters,
        intercept=linear.intercept,
        columns={
            name: _Column(mean=mean, scale=scale, weight=weight)
            for name, (mean, scale, weight) in zip(columns, numbers, strict=True)
        },
    )


def _read(linear: _Linear, columns: list[str], where: str) -> Linear:
    _refuse_unless(list(linear.columns) == columns, f"{where}: its columns are not {columns}")
    found = linear.columns.values()
    return Linear(
        means=np.array([each.mean for each in found], np.float64),
        scales=np.array([each.scale for each in found], np.float64),
        weights=np.array([each.weight for each in found], np.float64),
        intercept=linear.intercept,
        num_parameters=linear.num_parameters,
    )


def _refuse_unless(holds: bool, why: str) -> None:
    if not holds:
        raise ModelUnavailable(why)
