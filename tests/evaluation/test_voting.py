"""Columns of several votes are counted from samples that the matrix has; none is drawn twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.evaluation.conftest import data_folder, questions
from tests.evaluation.runs import cells_of, collect
from tests.evaluation.test_matrix import outcome
from tiercel.evaluation.voting import elected

SAMPLED, VOTED = "small; temperature=0.7", "small; temperature=0.7; votes=4"


def vote(texts: list[str], scorer: str = "number"):
    samples = [
        replace(outcome(at), counts={"passes.a.b": 1 + at, "prompt_tokens.a.b": 10}, sample=at)
        for at in range(len(texts))
    ]
    return elected(samples, texts, scorer)


@pytest.mark.parametrize(
    ("texts", "winner", "agreeing"),
    [
        (["so 3", "The answer is 4", "it is 4.0, no 5", "4"], 1, 2),
        (["3", "4", "4", "3"], 0, 2),  # of answers given equally often the first
        (["none", "no", "4", "never"], 2, 1),  # who says no number has no vote
        (["none", "no"], 0, 2),
        (["1,000", "answer is: 1000"], 0, 2),
    ],
)
def test_the_answer_given_most_often_counts(texts: list[str], winner: int, agreeing: int):
    one = vote(texts)
    assert (one.prompt_id, one.sample) == (f"own-{winner}", 0)
    assert one.counts["agreeing.a.b"] == agreeing
    assert one.counts["passes.a.b"] == sum(range(1, len(texts) + 1))
    assert one.counts["prompt_tokens.a.b"] == 10 * len(texts)
    assert one.counts["prompts.a.b"] == len(texts)
    assert one.seconds == 0.5 * len(texts)


def test_short_answers_are_equal_whatever_their_articles():
    assert vote(["Paris", "Rome", "the rome!"], "answer_set").prompt_id == "own-1"


def test_votes_are_of_the_samples_that_are_there(chained: Path, tmp_path: Path):
    data = data_folder(tmp_path / "data", nq_open_dev=questions(4))
    asked, out = {"columns": [VOTED.replace("small", "large")]}, tmp_path / "out"
    collect(chained, data, out, columns=["large; temperature=0.7"], num_samples=2, limit=3)
    before = cells_of(out)
    told = list[int]()
    collect(chained, data, out, **asked, limit=3, progress=told.append)
    cells = cells_of(out)
    voted = {key[2]: one for key, one in cells.items() if "votes" in key[0]}
    samples = {key: one for key, one in cells.items() if "votes" not in key[0]}
    assert len(voted) == 3 and len(samples) == 3 * 4 and before.keys() <= samples.keys()
    assert sum(told) == len(samples) - len(before) + len(voted)
    for item, one in voted.items():
        own = [sample for key, sample in samples.items() if key[2] == item]
        assert any(one.token_ids == sample.token_ids for sample in own)
        assert one.counts["passes.large"] == sum(each.counts["passes.large"] for each in own)
    told.clear()
    collect(chained, data, out, **asked, limit=3, progress=told.append)
    assert not told
