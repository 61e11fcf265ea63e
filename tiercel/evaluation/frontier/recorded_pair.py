"""Two large models' recorded successes on public questions, as a table; prices are the caller's."""

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from tiercel.errors import InvalidRequest
from tiercel.evaluation.frontier.table import Floats, Table, check_complete, groups_of
from tiercel.prediction.examples import Examples

PRICES = {"mixtral-8x7b-instruct": 1.0, "gpt-4-1106-preview": 24.5}
"""A call's price in calls of the first. Any other ratio moves the costs, but no share of a gap."""

Featuriser = Callable[[str], Floats]


class _Meta(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    routellm_correct: dict[str, bool] | None = None
    subject: str = ""


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    prompt: str
    meta: _Meta


def read_recorded_pair(
    data: Path,
    set_names: Sequence[str],
    features: Featuriser,
    prices: Mapping[str, float] = PRICES,
) -> Table:
    """Return the rows of JSONL files that say how all priced models did; others are left out.

    Raises InvalidRequest for a file or a row that cannot be read.
    """
    paths = {name: data / f"{name}.jsonl" for name in set_names}
    contents = {name: _content(path) for name, path in paths.items()}
    found = [
        (name, row)
        for name in set_names
        for row in _rows(paths[name], contents[name])
        if row.meta.routellm_correct and prices.keys() <= row.meta.routellm_correct.keys()
    ]
    texts, ids = tuple(row.prompt for _, row in found), tuple(row.id for _, row in found)
    plans = tuple(sorted(prices, key=lambda name: prices[name]))
    right = [[bool(_right(row)[plan]) for plan in plans] for _, row in found]
    shape = (len(found), len(plans))
    examples = Examples(
        features=np.stack([features(text) for text in texts]),
        evidence=np.zeros((*shape, 0), np.float32),
        scores=np.array(right, np.float32).reshape(shape),
        num_tokens=np.full(shape, np.nan, np.float32),
        acceptance=np.zeros((shape[0], 0), np.float32),
        kinds=tuple(name for name, _ in found),
        groups=groups_of(texts, ids),
        plan_names=plans,
        pair_names=(),
    )
    table = Table(
        name="recorded pair",
        examples=examples,
        costs=np.tile([prices[plan] for plan in plans], (shape[0], 1)),
        cost_unit=f"calls of {plans[0]}",
        prompt_ids=ids,
        texts=texts,
        strata=tuple(f"{name} {row.meta.subject}".strip() for name, row in found),
        sources={
            f"{name}.jsonl": sha256(content).hexdigest() for name, content in contents.items()
        },
        samples=np.zeros((*shape, 0)),
        lossy=(False,) * len(plans),
    )
    check_complete(table)
    return table


def _right(row: _Row) -> Mapping[str, bool]:
    return row.meta.routellm_correct or {}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest("data", str(path), error.strerror or str(error)) from None


def _rows(path: Path, content: bytes) -> list[_Row]:
    rows = []
    for number, line in enumerate(content.decode().split("\n"), 1):
        if line:
            try:
                rows.append(_Row.model_validate(json.loads(line)))
            except (ValidationError, ValueError) as error:
                raise InvalidRequest(f"{path.name}:{number}", line[:80], str(error)) from None
    return rows
