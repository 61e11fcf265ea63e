"""The learner of docs/extending.md, as it stands there, beside the product's."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.evaluation.learning.test_replay import DROP, SCALE
from tests.modules import REPOSITORY
from tiercel.errors import InvalidRequest
from tiercel.evaluation.learning.learners import LEARNERS, STATIC
from tiercel.evaluation.learning.replay import ALL
from tiercel.evaluation.learning.scenarios import run
from tiercel.routing.registry import imported


def test_it_is_found_by_its_name_and_gets_over_a_drop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    text = (REPOSITORY / "docs" / "extending.md").read_text()
    [code] = [one for one in re.findall(r"```python\n(.*?)```", text, re.S) if "Window" in one]
    (tmp_path / "window_of_docs.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    who = {"mine": imported("learner", "window_of_docs:Window"), STATIC: LEARNERS[STATIC]}
    results = run(DROP, ALL, who, replace(SCALE, num_streams=3), 200.0)
    found = {one.learner: one for one, _ in results}
    assert found["mine"].recovery.is_within(600)
    assert found[STATIC].recovery.requests is None
    sys.modules.pop("window_of_docs")


@pytest.mark.parametrize("name", ["nowhere:Window", "math:pi", "math:nothing"])
def test_what_is_no_learner_is_refused(name: str):
    with pytest.raises(InvalidRequest, match="learner"):
        imported("learner", name)
