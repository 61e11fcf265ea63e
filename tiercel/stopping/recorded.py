"""Stages from the outcome matrix: prompts that all of them answered, and what every way takes.

Seconds are counts times step times that were measured elsewhere; those in the matrix are no price.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from operator import eq

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import InvalidRequest
from tiercel.evaluation.matrix import Cells, TierIdentity
from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.sets import EvaluationSet, named
from tiercel.evaluation.step_cost import PROMPT_TOKENS, StepTimes, TierTimes, replay_seconds
from tiercel.stopping.evidence import EVIDENCE_NAMES, evidence_vector
from tiercel.stopping.stages import StageData, joined
from tiercel.types import FinishReason

Floats = NDArray[np.float64]

# Of quality, one for each tier, by a set's name and a prompt's id.
Forecasts = Mapping[tuple[str, str], Sequence[float]]

_BLOCK = 8  # tokens of a draft that are verified in one pass


@dataclass(frozen=True)
class Stage:
    """One tier alone, and the drafter whose matches are evidence of its answers ("": none)."""

    name: str
    identity: TierIdentity
    times: TierTimes
    drafter: str


@dataclass(frozen=True)
class _Asked:
    """What stages are asked for, and by what their work is priced."""

    tiers: tuple[str, ...]
    times: StepTimes
    prefix_tokens: int | None
    drafters: Mapping[str, str]
    forecasts: Forecasts | None


def stage_data(
    matrix: Sequence[Cells],
    tiers: Sequence[str],
    set_names: Sequence[str],
    times: StepTimes,
    *,
    prefix_tokens: int | None = None,
    drafters: Mapping[str, str] | None = None,
    forecasts: Forecasts | None = None,
) -> StageData:
    """Return the items that all `tiers`, named in order of cost, answered greedily.

    Evidence is of the first `prefix_tokens` tokens, or of whole answers; of a tier that is in
    `drafters` it holds the matches of that drafter. Quality is a set's main score, the kind is the
    set's, an item's group its prompt. A later tier with the same tokenizer takes what was drafted
    up to the first difference for its own, in blocks of eight tokens; one with another tokenizer
    begins anew. With a prefix only that many tokens are drafted, and the seconds that finishing
    the earlier answer would have taken are saved. `forecasts` are the qualities that a predictor
    which never saw the prompt gives the tiers, by set and prompt. Raises InvalidRequest for
    columns, matches, times or forecasts that are not there, a set without a score, or no prompt
    that all tiers answered.
    """
    asked = _Asked(tuple(tiers), times, prefix_tokens, drafters or {}, forecasts)
    return joined([_of_set(matrix, each, asked) for each in named(list(set_names))])


def _of_set(matrix: Sequence[Cells], asked_set: EvaluationSet, asked: _Asked) -> StageData:
    name = asked_set.name
    columns = [_column(matrix, tier, name) for tier in asked.tiers]
    stages = [_stage(cells, asked) for cells in columns]
    rows = _paired(columns, name)
    return StageData(
        stages=asked.tiers,
        evidence_names=EVIDENCE_NAMES,
        evidence=np.array([_evidence(row, stages, asked.prefix_tokens) for row in rows]),
        kinds=(asked_set.kind,) * len(rows),
        quality=np.array([[_quality(one, name) for one in row] for row in rows]),
        seconds=np.array([_seconds(row, stages, asked) for row in rows]),
        groups=tuple(row[0].prompt_id for row in rows),
        prefix_tokens=asked.prefix_tokens,
        forecasts=_forecasts(rows, name, asked.forecasts),
        stage_digests=tuple(stage.identity.weights_digest for stage in stages),
    )


def _forecasts(
    rows: Sequence[Sequence[Outcome]], set_name: str, known: Forecasts | None
) -> Floats | None:
    if known is None:
        return None
    asked = [(set_name, row[0].prompt_id) for row in rows]
    missing = next((prompt_id for _, prompt_id in asked if (set_name, prompt_id) not in known), "")
    if missing:
        raise InvalidRequest("forecasts", missing, f"is a prompt of {set_name} without one")
    return np.array([known[prompt] for prompt in asked], np.float64)


def _column(matrix: Sequence[Cells], tier: str, set_name: str) -> Cells:
    for cells in matrix:
        if cells.manifest.column == tier and cells.manifest.set_name == set_name:
            if list(cells.manifest.tiers) != [tier]:
                raise InvalidRequest("tiers", tier, "not the column of one tier alone")
            return cells
    raise InvalidRequest("tiers", tier, f"the matrix has no answers of it to {set_name}")


def _stage(cells: Cells, asked: _Asked) -> Stage:
    tier, identity = next(iter(cells.manifest.tiers.items()))
    return Stage(tier, identity, asked.times.of(tier), asked.drafters.get(tier, ""))


def _paired(columns: Sequence[Cells], set_name: str) -> list[list[Outcome]]:
    """Return the first answers of all columns, by prompt."""
    by_prompt = [
        {one.prompt_id: one for one in cells.outcomes if not one.sample} for cells in columns
    ]
    shared = sorted(set.intersection(*(set(each) for each in by_prompt)))
    rows = [[each[prompt] for each in by_prompt] for prompt in shared]
    if not rows:
        raise InvalidRequest("set_names", set_name, "no prompt that all tiers answered")
    for row in rows:
        if len({one.prompt_hash for one in row}) > 1:
            raise InvalidRequest("matrix", row[0].prompt_id, "tiers were asked different prompts")
    return rows


def _evidence(
    row: Sequence[Outcome], stages: Sequence[Stage], prefix_tokens: int | None
) -> list[Floats]:
    """Return each stage's vector."""
    return [
        evidence_vector(
            one.logprobs,
            one.entropies,
            one.margins,
            finished=one.finish is not FinishReason.LENGTH,
            matches=_matches(one, stage.drafter),
            prefix_tokens=prefix_tokens,
        )
        for one, stage in zip(row, stages, strict=True)
    ]


def _matches(one: Outcome, drafter: str) -> Sequence[bool]:
    if not drafter:
        return ()
    if drafter not in one.matches:
        raise InvalidRequest("drafters", drafter, f"it was not matched with {one.prompt_id}")
    flags: list[bool] = one.matches[drafter].tolist()
    return flags


def _quality(one: Outcome, set_name: str) -> float:
    for score in one.scores.values():
        return score
    raise InvalidRequest("set_names", set_name, "its answers have no score")


def _seconds(row: Sequence[Outcome], stages: Sequence[Stage], asked: _Asked) -> Floats:
    """Return the table of one item, [num_stages + 1, num_stages]."""
    count = len(stages)
    table = np.full((count + 1, count), np.inf)
    for to in range(count):
        table[0, to] = replay_seconds(row[to], asked.times)
        for at in range(to):
            ids = row[at].token_ids
            drafted = ids if asked.prefix_tokens is None else ids[: asked.prefix_tokens]
            saved = (len(ids) - len(drafted)) * stages[at].times.pass_seconds(1)
            agreed = _agreed(drafted, row[to], stages[at], stages[to])
            table[at + 1, to] = _after_draft(row[to], stages[to], agreed) - saved
    return table


def _agreed(drafted: Sequence[int], one: Outcome, before: Stage, after: Stage) -> int:
    """Return how many tokens of a draft the next stage takes for its own."""
    if before.identity.tokenizer_fingerprint != after.identity.tokenizer_fingerprint:
        return 0
    return sum(1 for _ in takewhile(bool, map(eq, drafted, one.token_ids)))


def _after_draft(one: Outcome, stage: Stage, agreed: int) -> float:
    """Return the seconds of an answer whose first `agreed` tokens stand in a draft."""
    # The prompt's pass judges the first draft token, and each token fed judges the one after it.
    fed = min(agreed, len(one.token_ids) - 1)
    left = max(0, len(one.token_ids) - agreed - 1)
    prompt = stage.times.prefill_seconds(one.counts[f"{PROMPT_TOKENS}.{stage.name}"])
    blocks = -(-fed // _BLOCK)
    return prompt + blocks * stage.times.pass_seconds(_BLOCK) + left * stage.times.pass_seconds(1)
