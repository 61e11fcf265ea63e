"""The collected outcome matrix as tables: texts in one, letters by log-likelihood in another."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tiercel.errors import InvalidRequest
from tiercel.evaluation.column import Column, parse_column
from tiercel.evaluation.frontier.table import (
    Doubles,
    Floats,
    Prefix,
    Table,
    check_complete,
    groups_of,
)
from tiercel.evaluation.items import Item
from tiercel.evaluation.matrix import Cells
from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.sets import SETS
from tiercel.evaluation.step_cost import PASSES, StepTimes, replay_seconds, seconds
from tiercel.prediction.examples import Examples
from tiercel.stopping.evidence import PREFIXES, evidence_vector
from tiercel.types import FinishReason, Message

Featuriser = Callable[[Sequence[Message]], Floats]

_Key = tuple[str, str]  # set and prompt


@dataclass(frozen=True)
class Matrix:
    """Outcomes of the matrix that all answered, by column and prompt, with the prompts' texts."""

    columns: tuple[str, ...]
    greedy: Mapping[str, Mapping[_Key, Outcome]]
    sampled: Mapping[str, Mapping[_Key, list[Outcome]]]
    items: Mapping[_Key, Item]
    sources: Mapping[str, str]


def read_collected(
    cells: Sequence[Cells], data: Path, *, letters: bool, columns: Sequence[str] | None = None
) -> Matrix:
    """Return what was collected on sets of letters, or on all others.

    Without `columns`: every greedy one. Raises InvalidRequest if the data files are not those that
    the matrix was made of.
    """
    own = [one for one in cells if _is_asked(one, letters)]
    greedy: dict[str, dict[_Key, Outcome]] = defaultdict(dict)
    sampled: dict[str, dict[_Key, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for one in own:
        column = parse_column(one.manifest.column)
        for outcome in one.outcomes:
            key = (one.manifest.set_name, outcome.prompt_id)
            if column.temperature and column.votes == 1:
                sampled[_greedy_name(column)][key].append(outcome)
            else:
                greedy[str(column)][key] = outcome
    items, sources = _items(own, data)
    names = tuple(columns or sorted(greedy))
    missing = [name for name in names if name not in greedy]
    if missing:
        raise InvalidRequest("column", missing[0], f"must be one of {', '.join(sorted(greedy))}")
    return Matrix(names, greedy, sampled, items, sources)


def table_of(matrix: Matrix, times: StepTimes, features: Featuriser, *, name: str) -> Table:
    """Return the prompts that every column answered and that have a score; cheap plans first."""
    keys = sorted(set.intersection(*(set(matrix.greedy[name]) for name in matrix.columns)))
    keys = [key for key in keys if all(matrix.greedy[one][key].scores for one in matrix.columns)]
    if not keys:
        raise InvalidRequest("matrix", name, "holds no prompt that all columns answered")
    costs = _array(matrix, keys, lambda one: replay_seconds(one, times))
    order = np.argsort(costs.mean(axis=0), kind="stable")
    plans = tuple(matrix.columns[at] for at in order)
    ordered = Matrix(plans, matrix.greedy, matrix.sampled, matrix.items, matrix.sources)
    texts = tuple(matrix.items[key].prompt for key in keys)
    ids = tuple(prompt_id for _, prompt_id in keys)
    table = Table(
        name=name,
        examples=_examples(ordered, keys, texts, features),
        costs=costs[:, order],
        cost_unit="seconds",
        prompt_ids=ids,
        texts=texts,
        strata=tuple(_stratum(matrix.items[key]) for key in keys),
        sources=matrix.sources,
        samples=_samples(ordered, keys),
        prefixes={length: _prefix(ordered, keys, times, length) for length in PREFIXES},
        lossy=tuple(_is_lossy(parse_column(plan)) for plan in plans),
    )
    check_complete(table)
    return table


def _examples(
    matrix: Matrix, keys: Sequence[_Key], texts: Sequence[str], features: Featuriser
) -> Examples:
    asked = [SETS[key[0]].messages(matrix.items[key]) for key in keys]
    return Examples(
        features=np.stack([features(messages) for messages in asked]),
        evidence=_array(matrix, keys, _whole_evidence).astype(np.float32),
        scores=_array(matrix, keys, _main_score).astype(np.float32),
        num_tokens=_array(matrix, keys, lambda one: len(one.token_ids)).astype(np.float32),
        acceptance=np.zeros((len(keys), 0), np.float32),
        kinds=tuple(set_name for set_name, _ in keys),
        groups=groups_of(texts, [prompt_id for _, prompt_id in keys]),
        plan_names=matrix.columns,
        pair_names=(),
    )


def _prefix(matrix: Matrix, keys: Sequence[_Key], times: StepTimes, length: int) -> Prefix:
    def evidence(one: Outcome) -> Doubles:
        return _evidence(one, length)

    def cost(one: Outcome) -> float:
        return _prefix_seconds(one, times, length)

    return Prefix(_array(matrix, keys, evidence).astype(np.float32), _array(matrix, keys, cost))


def _prefix_seconds(one: Outcome, times: StepTimes, length: int) -> float:
    """Return what the prompt and the first tokens take: the share of passes that led to them."""
    share = min(1.0, length / max(1, len(one.token_ids)))
    counts = {
        name: round(share * count) if name.startswith(PASSES) else count
        for name, count in one.counts.items()
    }
    return seconds(counts, times)


def _whole_evidence(one: Outcome) -> Doubles:
    return _evidence(one, None)


def _evidence(one: Outcome, length: int | None) -> Doubles:
    return evidence_vector(
        one.logprobs,
        one.entropies,
        one.margins,
        finished=one.finish is not FinishReason.LENGTH,
        prefix_tokens=length,
    )


def _samples(matrix: Matrix, keys: Sequence[_Key]) -> Doubles:
    """Return the scores of samples that every column has, NaN where one lacks them."""
    found = [[_sample_scores(matrix, plan, key) for plan in matrix.columns] for key in keys]
    count = max((len(scores) for row in found for scores in row), default=0)
    filled = np.full((len(keys), len(matrix.columns), count), np.nan)
    for at, row in enumerate(found):
        if all(len(scores) == count for scores in row):
            filled[at] = row
    return filled


def _sample_scores(matrix: Matrix, plan: str, key: _Key) -> list[float]:
    drawn = matrix.sampled.get(plan, {}).get(key, [])
    return [_main_score(one) for one in sorted(drawn, key=lambda one: one.sample)]


def _array(
    matrix: Matrix, keys: Sequence[_Key], read: Callable[[Outcome], float | Doubles]
) -> Doubles:
    """Return [n, columns, ...] of what is read from each outcome."""
    rows = [[read(matrix.greedy[plan][key]) for plan in matrix.columns] for key in keys]
    return np.array(rows, np.float64)


def _main_score(one: Outcome) -> float:
    return next(iter(one.scores.values()))


def _is_asked(cells: Cells, letters: bool) -> bool:
    return SETS[cells.manifest.set_name].asks_letter == letters


def _is_lossy(column: Column) -> bool:
    return not column.is_one_tier


def _greedy_name(column: Column) -> str:
    return str(Column(column.plan, column.rule, column.strictness))


def _stratum(item: Item) -> str:
    return f"{item.set_name} {item.meta.get('subject', '')}".strip()


def _items(cells: Sequence[Cells], data: Path) -> tuple[dict[_Key, Item], dict[str, str]]:
    items: dict[_Key, Item] = {}
    digests: dict[str, str] = {}
    for one in cells:
        name, digest = one.manifest.set_name, one.manifest.data_digest
        if name not in digests:
            read = SETS[name].read(data)
            digests[name] = read.digest
            items |= {(name, item.id): item for item in read.items}
        if digests[name] != digest:
            raise InvalidRequest("data", name, "is not the file that the matrix was made of")
    return items, {f"{name}.jsonl": digest for name, digest in digests.items()}
