"""Stages from the outcome matrix: prompts that all of them answered, and what every way takes.

Seconds are counts times step times that were measured elsewhere; those in the matrix are no price.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from operator import eq
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import InvalidRequest
from tiercel.evaluation.matrix import Cells, TierIdentity
from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.sets import named
from tiercel.plan_costs import TierTimes
from tiercel.stopping.evidence import EVIDENCE_NAMES, evidence_vector
from tiercel.stopping.stages import StageData, joined
from tiercel.types import FinishReason

Floats = NDArray[np.float64]

_BLOCK = 8  # tokens of a draft that are verified in one pass


class StepSeconds(NamedTuple):
    """What a tier's work takes."""

    prompt_token: float
    token_pass: float
    block_pass: float  # over _BLOCK draft tokens


@dataclass(frozen=True)
class Stage:
    """One tier alone."""

    name: str
    identity: TierIdentity
    seconds: StepSeconds


def stage_data(
    matrix: Sequence[Cells],
    tiers: Sequence[str],
    set_names: Sequence[str],
    times: Mapping[str, TierTimes],
    *,
    prefix_tokens: int | None = None,
) -> StageData:
    """Return the items that all `tiers`, named in order of cost, answered greedily.

    `times` holds each tier's seconds (`step_s`, `prefill_s_per_token`). Evidence is of the first
    `prefix_tokens` tokens, or of whole answers. Quality is a set's main score, the kind is the
    set's, an item's group its prompt. A later tier with the same tokenizer takes what was drafted
    up to the first difference for its own, in blocks of eight tokens; one with another tokenizer
    begins anew. With a prefix only that many tokens are drafted, and the seconds that finishing
    the earlier answer would have taken are saved. Raises InvalidRequest for columns or times that
    are not there, a set without a score, or no prompt that all tiers answered.
    """
    return joined(
        [
            _of_set(matrix, tiers, each.name, each.kind, times, prefix_tokens)
            for each in named(list(set_names))
        ]
    )


def _of_set(
    matrix: Sequence[Cells],
    tiers: Sequence[str],
    set_name: str,
    kind: str,
    times: Mapping[str, TierTimes],
    prefix_tokens: int | None,
) -> StageData:
    columns = [_column(matrix, tier, set_name) for tier in tiers]
    stages = [_stage(tier, cells, times) for tier, cells in zip(tiers, columns, strict=True)]
    rows = _paired(columns, set_name)
    return StageData(
        stages=tuple(tiers),
        evidence_names=EVIDENCE_NAMES,
        evidence=np.array([[_evidence(one, prefix_tokens) for one in row] for row in rows]),
        kinds=(kind,) * len(rows),
        quality=np.array([[_quality(one, set_name) for one in row] for row in rows]),
        seconds=np.array([_seconds(row, stages, prefix_tokens) for row in rows]),
        groups=tuple(row[0].prompt_id for row in rows),
        prefix_tokens=prefix_tokens,
        stage_digests=tuple(stage.identity.weights_digest for stage in stages),
    )


def _column(matrix: Sequence[Cells], tier: str, set_name: str) -> Cells:
    for cells in matrix:
        if cells.manifest.column == tier and cells.manifest.set_name == set_name:
            return cells
    raise InvalidRequest("tiers", tier, f"the matrix has no answers of it to {set_name}")


def _stage(tier: str, cells: Cells, times: Mapping[str, TierTimes]) -> Stage:
    if list(cells.manifest.tiers) != [tier]:
        raise InvalidRequest("tiers", tier, "not the column of one tier alone")
    if tier not in times or not times[tier].step_s:
        raise InvalidRequest("times", tier, "no time of a pass (step_s)")
    step = times[tier].step()
    seconds = StepSeconds(times[tier].prefill_s_per_token, step(1), step(_BLOCK))
    return Stage(tier, cells.manifest.tiers[tier], seconds)


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


def _evidence(one: Outcome, prefix_tokens: int | None) -> Floats:
    return evidence_vector(
        one.logprobs,
        one.entropies,
        one.margins,
        finished=one.finish is not FinishReason.LENGTH,
        prefix_tokens=prefix_tokens,
    )


def _quality(one: Outcome, set_name: str) -> float:
    for score in one.scores.values():
        return score
    raise InvalidRequest("set_names", set_name, "its answers have no score")


def _seconds(row: Sequence[Outcome], stages: Sequence[Stage], prefix_tokens: int | None) -> Floats:
    """Return the table of one item, [num_stages + 1, num_stages]."""
    count = len(stages)
    table = np.full((count + 1, count), np.inf)
    for to in range(count):
        table[0, to] = _from_nothing(row[to], stages[to])
        for at in range(to):
            drafted = _drafted(row[at], prefix_tokens)
            saved = (len(row[at].token_ids) - len(drafted)) * stages[at].seconds.token_pass
            if stages[at].identity.tokenizer_fingerprint != (
                stages[to].identity.tokenizer_fingerprint
            ):
                drafted = ()
            table[at + 1, to] = _after_draft(row[to], stages[to], drafted) - saved
    return table


def _from_nothing(one: Outcome, stage: Stage) -> float:
    prompt = stage.seconds.prompt_token * one.counts[f"prompt_tokens.{stage.name}"]
    return prompt + stage.seconds.token_pass * one.counts[f"passes.{stage.name}"]


def _drafted(one: Outcome, prefix_tokens: int | None) -> tuple[int, ...]:
    return one.token_ids if prefix_tokens is None else one.token_ids[:prefix_tokens]


def _after_draft(one: Outcome, stage: Stage, drafted: tuple[int, ...]) -> float:
    """Return the seconds of an answer whose beginning may stand in a draft of the same tokens."""
    agreed = sum(1 for _ in takewhile(bool, map(eq, drafted, one.token_ids)))
    # The prompt's pass judges the first draft token, and each token fed judges the one after it.
    fed = min(agreed, len(one.token_ids) - 1)
    left = max(0, len(one.token_ids) - agreed - 1)
    prompt = stage.seconds.prompt_token * one.counts[f"prompt_tokens.{stage.name}"]
    blocks = -(-fed // _BLOCK)
    return prompt + blocks * stage.seconds.block_pass + left * stage.seconds.token_pass
