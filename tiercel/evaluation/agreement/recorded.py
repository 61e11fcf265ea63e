"""Answers that were recorded in an outcome matrix, with their scores."""

from collections.abc import Iterator
from pathlib import Path

from tiercel.errors import InvalidRequest
from tiercel.evaluation.agreement.readings import Sample
from tiercel.evaluation.matrix import Cells, read_matrix
from tiercel.evaluation.sets import SETS, EvaluationSet


def recorded_samples(
    data: Path, matrix: Path, target: str, *, fingerprint: str, limit: int | None
) -> list[Sample]:
    """Return the first greedy answers of the column `target` to the evaluation set in a file.

    Raises InvalidRequest for a file that is no evaluation set, a matrix without such answers, and
    answers of another vocabulary or to other prompts.
    """
    each = SETS.get(data.stem)
    if each is None:
        raise InvalidRequest("data", data.name, f"must be one of {', '.join(SETS)}")
    found = [
        cells
        for cells in read_matrix(matrix)
        if (cells.manifest.column, cells.manifest.set_name) == (target, each.name)
    ]
    if not found:
        raise InvalidRequest("answers", str(matrix), f"holds none of {target} to {each.name}")
    [cells] = found
    theirs = cells.manifest.tiers[target].tokenizer_fingerprint
    if theirs != fingerprint:
        raise InvalidRequest("answers", theirs, f"{target} has tokenizer {fingerprint}")
    return list(_samples(each, data, cells))[:limit]


def _samples(each: EvaluationSet, data: Path, cells: Cells) -> Iterator[Sample]:
    """Yield the samples in the set's order, of which any beginning is a random choice."""
    answers = {one.prompt_id: one for one in cells.outcomes if one.sample == 0}
    for item in each.read(data.parent).items:
        if (answer := answers.get(item.id)) is None:
            continue
        if answer.prompt_hash != item.prompt_hash:
            raise InvalidRequest("data", item.id, "is another prompt than the answer's")
        score = next(iter(answer.scores.values()), None)
        yield Sample(tuple(each.messages(item)), each.kind, answer.token_ids, score)
