"""A stopping policy as a readable JSON file, checked when it is read."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from tiercel.errors import ModelUnavailable
from tiercel.stopping.policy import Continuation, StoppingPolicy
from tiercel.stopping.policy_content import (
    ContinuationPart,
    PolicyContent,
    ScorePart,
    read,
    refuse_unless,
    starts_from_parts,
    starts_to_parts,
    written,
)
from tiercel.stopping.scores import StageScores
from tiercel.whole_files import read_small, write_whole

_MAX_BYTES = 1 << 20


def save(policy: StoppingPolicy, path: Path) -> None:
    """Write the policy; a reader finds the old file or the new one, whole."""
    write_whole(path, to_json(policy).encode())


def load(path: str | Path, *, evidence_names: Sequence[str] | None = None) -> StoppingPolicy:
    """Return the policy in a file; raises ModelUnavailable, in one line, if it holds none.

    With `evidence_names` a policy that reads other evidence is refused, too.
    """
    policy = read_small(path, _MAX_BYTES, of_json)
    if evidence_names is not None and policy.evidence_names != tuple(evidence_names):
        raise ModelUnavailable(f"{path}: it reads other evidence than there is")
    return policy


def to_json(policy: StoppingPolicy) -> str:
    """Return the file's text."""
    names, kinds = policy.stages, policy.scores.kinds
    score_columns, gain_columns = _columns(policy.evidence_names, kinds, policy.recall)
    whole = PolicyContent(
        trained_on=policy.trained_on,
        cost_weight=policy.cost_weight,
        recall=policy.recall,
        prefix_tokens=policy.prefix_tokens,
        stages=names,
        stage_digests=policy.stage_digests,
        kinds=kinds,
        evidence_names=policy.evidence_names,
        scores=tuple(
            ScorePart(stage=name, quality=written(regressor, score_columns))
            for name, regressor in zip(names, policy.scores.regressors, strict=True)
        ),
        continuations=tuple(
            ContinuationPart(
                stage=names[each.stage],
                following=names[each.following],
                mean_seconds=each.mean_seconds,
                kind_seconds=dict(each.kind_seconds),
                gain=written(each.gain, gain_columns),
            )
            for each in policy.continuations
        ),
        reads_forecasts=policy.reads_forecasts,
        starts=starts_to_parts(policy),
    )
    return whole.model_dump_json(indent=2) + "\n"


def of_json(content: bytes) -> StoppingPolicy:
    """Return the policy in a file's content; raises ModelUnavailable with what is wrong."""
    if len(content) > _MAX_BYTES:
        raise ModelUnavailable(f"a policy has at most {_MAX_BYTES} bytes")
    try:
        whole = PolicyContent.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise ModelUnavailable(f"{where}: {first['msg']}") from None
    _check_names(whole)
    score_columns, gain_columns = _columns(whole.evidence_names, whole.kinds, whole.recall)
    regressors = tuple(read(each.quality, score_columns, each.stage) for each in whole.scores)
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
        starts=starts_from_parts(whole),
        reads_forecasts=whole.reads_forecasts,
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


def _check_names(whole: PolicyContent) -> None:
    """Refuse names that are there twice, scores of other stages, moves that lead back."""
    unfinished = whole.recall and whole.prefix_tokens is not None
    refuse_unless(not unfinished, "recall: an unfinished answer cannot be kept")
    for field in ("stages", "kinds", "evidence_names"):
        names = getattr(whole, field)
        refuse_unless(len(set(names)) == len(names), f"{field}: a name is there twice")
    refuse_unless(
        tuple(each.stage for each in whole.scores) == whole.stages, "scores: not one a stage"
    )
    digests = len(whole.stage_digests) in (0, len(whole.stages))
    refuse_unless(digests, "stage_digests: not one a stage")
    moves = [(each.stage, each.following) for each in whole.continuations]
    refuse_unless(len(set(moves)) == len(moves), "continuations: one is there twice")
    place = {name: at for at, name in enumerate(whole.stages)}
    for stage, following in moves:
        known = stage in place and following in place
        why = f"continuations: {stage} to {following} leads to no later stage"
        refuse_unless(known and place[stage] < place[following], why)


def _way(each: ContinuationPart, stages: tuple[str, ...], columns: list[str]) -> Continuation:
    gain = read(each.gain, columns, f"{each.stage} to {each.following}")
    at, following = stages.index(each.stage), stages.index(each.following)
    return Continuation(at, following, gain, each.mean_seconds, each.kind_seconds)
