"""The outcome matrix as examples: every prompt at every temperature, with what plans made of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import InvalidRequest
from tiercel.evaluation.column import Column, parse_column
from tiercel.evaluation.frontier.grouping import near_duplicates
from tiercel.evaluation.items import Item
from tiercel.evaluation.matrix import Cells
from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.sets import SETS
from tiercel.prediction.examples import Examples
from tiercel.prediction.quality.embedding import Embedding
from tiercel.prediction.quality.featuriser import features
from tiercel.prediction.quality.manifest import EmbeddingRecord, TierRecord
from tiercel.stopping.evidence import EVIDENCE_NAMES, PREFIXES, evidence_vector
from tiercel.types import FinishReason

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Asked:
    """One prompt of a set, at a temperature."""

    set_name: str
    prompt_id: str
    temperature: float


@dataclass(frozen=True)
class Measured:
    """Examples, which prompt each row is, and what stood behind the tiers' names."""

    examples: Examples
    asked: tuple[Asked, ...]
    tiers: Mapping[str, TierRecord]
    data_sha256: Mapping[str, str]
    embedding: EmbeddingRecord | None = None  # of which the features hold one

    @property
    def greedy(self) -> NDArray[np.bool_]:
        """Which rows are at temperature 0, each prompt once."""
        return np.array([asked.temperature == 0 for asked in self.asked])


def read_examples(
    cells: Sequence[Cells],
    data: Path,
    *,
    plans: Sequence[str] | None = None,
    embedding: Embedding | None = None,
) -> Measured:
    """Return all that a matrix holds as examples; what a plan did not answer is NaN.

    `plans` are the columns that are wanted, without their temperature. Scores of several samples
    are averaged. Evidence is of an answer's first tokens: how many differs from prompt to prompt.
    Acceptance is known where drafters were held against answers (`tiercel eval match`).
    Raises InvalidRequest if the data files are not those that the matrix was made of.
    """
    answers: dict[Asked, dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    wanted = [one for one in cells if plans is None or _name(one) in plans]
    for one in wanted:
        name, temperature = _plan(parse_column(one.manifest.column))
        for outcome in one.outcomes:
            asked = Asked(one.manifest.set_name, outcome.prompt_id, temperature)
            answers[asked][name].append(outcome)
    if not answers:
        raise InvalidRequest("matrix", plans or "", "holds no answer of these plans")
    items, digests = _items(cells, data)
    names = tuple(plans or sorted({name for by_plan in answers.values() for name in by_plan}))
    rows = tuple(sorted(answers, key=lambda one: (one.set_name, one.prompt_id, one.temperature)))
    examples = _examples(rows, answers, names, items, embedding)
    record = None if embedding is None else embedding.record
    return Measured(examples, rows, _tiers(wanted), digests, record)


def _name(cells: Cells) -> str:
    return _plan(parse_column(cells.manifest.column))[0]


def _plan(column: Column) -> tuple[str, float]:
    """Return a column's name without its temperature, and that; votes are a plan of their own."""
    if column.votes > 1:
        return str(column), 0.0
    return str(Column(column.plan, column.rule, column.strictness)), column.temperature


def _examples(
    rows: Sequence[Asked],
    answers: Mapping[Asked, Mapping[str, Sequence[Outcome]]],
    names: tuple[str, ...],
    items: Mapping[tuple[str, str], Item],
    embedding: Embedding | None,
) -> Examples:
    own = [items[asked.set_name, asked.prompt_id] for asked in rows]
    given = [[answers[asked].get(name, ()) for name in names] for asked in rows]
    firsts = near_duplicates([item.prompt for item in own])
    inputs = [
        features(
            tuple(SETS[item.set_name].messages(item)),
            temperature=asked.temperature,
            embedding=embedding,
        )
        for item, asked in zip(own, rows, strict=True)
    ]
    evidence = [
        [_evidence(outcomes, asked) for outcomes in by_plan]
        for asked, by_plan in zip(rows, given, strict=True)
    ]
    pairs = _pairs(given, names)
    return Examples(
        features=np.stack(inputs),
        evidence=np.array(evidence, np.float32),
        scores=_array(given, _score),
        num_tokens=_array(given, _length),
        acceptance=_acceptance(given, pairs),
        kinds=tuple(asked.set_name for asked in rows),
        groups=tuple(f"{rows[first].set_name} {rows[first].prompt_id}" for first in firsts),
        plan_names=names,
        pair_names=tuple(f"{drafter} under {names[place]}" for place, drafter in pairs),
    )


def _pairs(
    given: Sequence[Sequence[Sequence[Outcome]]], names: Sequence[str]
) -> list[tuple[int, str]]:
    """Return every plan's place with each drafter that was held against its answers."""
    return sorted(
        {
            (place, drafter)
            for row in given
            for place in range(len(names))
            for one in row[place]
            for drafter in one.matches
        }
    )


def _acceptance(
    given: Sequence[Sequence[Sequence[Outcome]]], pairs: Sequence[tuple[int, str]]
) -> Floats:
    rates = [[_rate(row[place], drafter) for place, drafter in pairs] for row in given]
    return np.array(rates, np.float32).reshape(len(given), len(pairs))


def _rate(outcomes: Sequence[Outcome], drafter: str) -> float:
    """Return in what share of the places where the drafter had a choice it was the token."""
    counts = [one.num_matched(drafter) for one in outcomes if drafter in one.matches]
    num_said = sum(said for said, _ in counts)
    return sum(right for _, right in counts) / num_said if num_said else np.nan


def _array(given: Sequence[Sequence[Sequence[Outcome]]], read: object) -> Floats:
    assert callable(read)
    return np.array([[read(outcomes) for outcomes in row] for row in given], np.float32)


def _score(outcomes: Sequence[Outcome]) -> float:
    scores = [next(iter(one.scores.values())) for one in outcomes if one.scores]
    return float(np.mean(scores)) if scores else np.nan


def _length(outcomes: Sequence[Outcome]) -> float:
    lengths = [len(one.token_ids) for one in outcomes if _is_text(one)]
    return float(np.mean(lengths)) if lengths else np.nan


def _is_text(one: Outcome) -> bool:
    """Whether it is an answer in words; of letters only one token's log-probability was taken."""
    return len(one.logprobs) > 0 and not len(one.choice_logprobs)


def _evidence(outcomes: Sequence[Outcome], asked: Asked) -> NDArray[np.float64]:
    """Return the evidence of the first answer; a letter, which is no text, gives none."""
    if not outcomes or not _is_text(outcomes[0]):
        return np.full(len(EVIDENCE_NAMES), np.nan)
    one = outcomes[0]
    whole = one.finish is not FinishReason.LENGTH
    lengths = (*PREFIXES, None)
    chosen = sha256(f"{asked.set_name} {asked.prompt_id}".encode()).digest()[0] % len(lengths)
    return evidence_vector(
        one.logprobs, one.entropies, one.margins, finished=whole, prefix_tokens=lengths[chosen]
    )


def _items(
    cells: Sequence[Cells], data: Path
) -> tuple[dict[tuple[str, str], Item], dict[str, str]]:
    items: dict[tuple[str, str], Item] = {}
    digests: dict[str, str] = {}
    for name in sorted({one.manifest.set_name for one in cells}):
        read = SETS[name].read(data)
        digests[f"{name}.jsonl"] = read.digest
        items |= {(name, item.id): item for item in read.items}
    for one in cells:
        if digests[f"{one.manifest.set_name}.jsonl"] != one.manifest.data_digest:
            raise InvalidRequest(
                "data", one.manifest.set_name, "is not the file that the matrix was made of"
            )
    return items, digests


def _tiers(cells: Sequence[Cells]) -> dict[str, TierRecord]:
    return {
        name: TierRecord(model=tier.model, dtype=tier.dtype, weights_digest=tier.weights_digest)
        for one in cells
        for name, tier in one.manifest.tiers.items()
    }
