"""The policy that docs/routing.md shows how to write is run as it stands there."""

import re
import sys

import pytest

from tests.modules import REPOSITORY
from tests.routing.situations import BLANK, LADDER, situation
from tiercel.errors import InvalidRequest
from tiercel.routing.registry import POLICIES, PolicySettings, make

PAGE = (REPOSITORY / "docs" / "routing.md").read_text(encoding="utf-8")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(example.splitlines()) <= 31
    (tmp_path / "mine.py").write_text(example)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield make("mine:nearly_best", PolicySettings())
    sys.modules.pop("mine")


def test_the_example_does_what_it_says(mine):
    near = (*LADDER[:2], LADDER[2].__class__("near", 2.0, 0.92))
    odds = mine.weigh(situation(*near, LADDER[3]))
    assert odds.probabilities == {"near": 1.0}
    assert odds.reason == "the soonest of 2 plans within 0.05 of 0.950"
    assert mine.weigh(situation(*BLANK)).insufficient_evidence


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nowhere:x", "cannot be imported"),
        ("math:x", "cannot be"),
        ("math:pi", "is no factory"),
        ("builtins:repr", "makes no policy"),
    ],
)
def test_what_is_no_factory_is_refused(name, why):
    with pytest.raises(InvalidRequest, match=f"policy='{name}': {why}"):
        make(name, PolicySettings())


def test_the_page_names_every_policy():
    table = PAGE.split("## Policies")[1].split("\n\nThe operator")[0]
    assert re.findall(r"^\| `(\w+)` ", table, re.MULTILINE) == list(POLICIES)
