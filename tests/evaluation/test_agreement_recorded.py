"""Recorded answers of an outcome matrix, as what tiers are read on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tiercel.errors import InvalidRequest
from tiercel.evaluation.agreement.readings import Sample
from tiercel.evaluation.agreement.recorded import recorded_samples
from tiercel.evaluation.matrix import CellsManifest, CellStore, TierIdentity
from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.sets import SETS
from tiercel.types import FinishReason


def recorded(tmp_path: Path, **fields) -> list[Sample]:
    rows = [{"id": f"q{number}", "prompt": f"Who {number}?"} for number in range(3)]
    data = tmp_path / "nq_open_dev.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in rows))
    items = SETS["nq_open_dev"].read(tmp_path).items
    identity = TierIdentity(
        model="m", engine="e", dtype="d", weights_digest="w", tokenizer_fingerprint="v"
    )
    manifest = CellsManifest(
        column="big", set_name="nq_open_dev", data_digest="", set_digest="", tiers={"big": identity}
    )
    told = [
        Outcome(item.id, item.prompt_hash, "n", (5, number), FinishReason.LENGTH, {"match": 0.5})
        for number, item in enumerate(items[1:])
    ]
    other = replace(told[0], sample=1, token_ids=(9,), seed=4)
    CellStore(tmp_path / "matrix", "big", manifest).add([*told, other])
    given = {"target": "big", "fingerprint": "v", "limit": None} | fields
    return recorded_samples(data, tmp_path / "matrix", **given)


def test_recorded_answers_are_taken_in_the_sets_order_with_their_scores(tmp_path: Path):
    first, second = recorded(tmp_path)
    assert (first.token_ids, second.token_ids) == ((5, 0), (5, 1))
    assert (first.kind, first.score) == ("facts", 0.5)
    assert "Question: Who" in first.prompt[0].content
    assert recorded(tmp_path, limit=1) == [first]


@pytest.mark.parametrize(
    ("fields", "why"),
    [({"target": "small"}, "holds none of small"), ({"fingerprint": "w"}, "has tokenizer w")],
)
def test_recorded_answers_of_something_else_are_refused(tmp_path: Path, fields, why):
    with pytest.raises(InvalidRequest, match=why):
        recorded(tmp_path, **fields)
