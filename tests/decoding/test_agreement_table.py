"""The calibration file of AGREEMENT: what it says, and that nonsense is refused by name."""

import json
from pathlib import Path

import numpy as np
import pytest

from tiercel.decoding import AgreementTable, Target, Vocabulary
from tiercel.decoding.agreement import compared
from tiercel.decoding.agreement_table import Bin
from tiercel.errors import ModelUnavailable
from tiercel.types import SamplingParams

UNSURE, SURE = Bin(0.0, 50, 20, 0.4), Bin(0.5, 60, 57, 0.95)
TABLE = AgreementTable(
    "target",
    ("one", "two"),
    0.7,
    "100 tokens",
    {"": {2: (UNSURE, SURE), 3: (Bin(0.0, 9, 9, 0.99),)}, "maths": {2: (Bin(0.0, 300, 30, 0.1),)}},
)


def test_what_is_written_is_read_again(tmp_path: Path):
    path = tmp_path / "table.json"
    TABLE.save(path)
    assert AgreementTable.load(path) == TABLE


@pytest.mark.parametrize(
    ("kind", "count", "probs", "expected"),
    [
        ("", 2, [0.2, 0.4], 0.4),
        ("", 2, [0.4, 0.6], 0.95),  # the mean counts, and a bin begins with its own number
        ("", 2, [0.98, None], 0.4),  # one that says nothing is unsure
        ("", 2, [], 0.4),
        ("", 3, [0.1, 0.1, 0.1], 0.99),
        ("maths", 2, [0.9, 0.9], 0.1),
        ("maths", 3, [0.9, 0.9, 0.9], 0.99),  # of which only all kinds together know
        ("poems", 2, [0.9, 0.9], 0.95),
        ("", 4, [1.0] * 4, 0.0),  # never measured
        ("", 1, [1.0], 0.0),
    ],
)
def test_the_probability_of_what_agrees(kind, count, probs, expected):
    assert TABLE.prob(kind, count, probs) == expected


def test_a_table_of_nothing_is_sure_of_nothing():
    assert AgreementTable("target", ()).prob("", 2, [1.0, 1.0]) == 0.0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda whole: whole.update(format="tiercel-agreement-9"), "format is not"),
        (lambda whole: whole.update(extra=1), "other keys"),
        (lambda whole: whole.update(target=3), "target and measured_on"),
        (lambda whole: whole.update(drafters="one"), "drafters is no list"),
        (lambda whole: whole.update(temperature=float("nan")), "temperature is no number"),
        (lambda whole: whole.update(temperature=True), "temperature is no number"),
        (lambda whole: whole.update(kinds=[]), "kinds is no object"),
        (lambda whole: whole["kinds"].update(maths={"two": []}), "no number of drafters"),
        (lambda whole: whole["kinds"].update(maths={"2": []}), r"kinds\['maths'\]\[2\] is no list"),
        (lambda whole: whole["kinds"][""]["2"].reverse(), "sureness falls"),
        (lambda whole: whole["kinds"][""]["2"][1].update(prob=0.1), "prob falls"),
        (lambda whole: whole["kinds"][""]["2"][0].update(prob=float("nan")), "no number from 0"),
        (lambda whole: whole["kinds"][""]["2"][0].update(prob=1.5), "no number from 0 to 1"),
        (lambda whole: whole["kinds"][""]["2"][0].update(agreed=51), "are no counts"),
        (lambda whole: whole["kinds"][""]["2"][0].pop("tokens"), "other keys"),
    ],
)
def test_what_is_no_table_is_refused(change, why):
    whole = json.loads(TABLE.to_json())
    change(whole)
    with pytest.raises(ModelUnavailable, match=why):
        AgreementTable.of(json.dumps(whole).encode())


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b"[" * 100_000, b" " * (1 << 23)])
def test_what_is_no_json_is_refused(content):
    with pytest.raises(ModelUnavailable):
        AgreementTable.of(content)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ModelUnavailable, match=r"nothing\.json"):
        AgreementTable.load(tmp_path / "nothing.json")


def test_tokens_that_stood_are_compared_one_by_one():
    vocabulary = Vocabulary.of([b"a", b"b", b"c"])
    logits = np.array([[0, 2, 1], [5, 0, 0], [0, 0, 9]], np.float32)  # 1, then 0
    verdict = compared((1, 2), Target(logits, SamplingParams(), vocabulary))
    assert (verdict.num_accepted, verdict.num_compared, verdict.next_token) == (2, 2, None)
    [one] = verdict.divergences
    assert (one.index, one.exact_token, one.logprob_gap) == (1, 0, 5.0)
