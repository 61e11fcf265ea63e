"""The file of a CoSD tree goes round unchanged, and anything else than such a file is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiercel.decoding.cosd_tree import FEATURES, MAX_DEPTH, CosdTree, Leaf, Node, Split
from tiercel.errors import ModelFault, ModelUnavailable

KEEP, REPLACE = Leaf(False, 7), Leaf(True, 5)
UNSURE = CosdTree(
    Split("draft_prob", 0.5, Split("target_prob", 0.25, KEEP, REPLACE), KEEP), "3 samples"
)

leaves = st.builds(Leaf, st.booleans(), st.integers(0, 10**6))
nodes = st.recursive(
    leaves,
    lambda below: st.builds(Split, st.sampled_from(FEATURES), st.floats(0, 1), below, below),
    max_leaves=MAX_DEPTH,
)


def content(**changes: Any) -> bytes:
    return json.dumps(json.loads(UNSURE.to_json()) | changes).encode()


def of_depth(depth: int) -> Node:
    return Split("draft_prob", 0.5, of_depth(depth - 1), KEEP) if depth else REPLACE


@given(nodes, st.text(max_size=50))
def test_a_tree_goes_round_through_its_file(root: Node, trained_on: str):
    tree = CosdTree(root, trained_on)
    assert CosdTree.of(tree.to_json().encode()) == tree


def test_a_tree_is_saved_and_loaded(tmp_path: Path):
    UNSURE.save(tmp_path / "tree.json")
    assert CosdTree.load(tmp_path / "tree.json") == UNSURE
    assert [path.name for path in tmp_path.iterdir()] == ["tree.json"]


@pytest.mark.parametrize(
    ("draft_prob", "target_prob", "replaces"),
    [(0.5, 0.26, True), (0.5, 0.25, False), (0.51, 0.9, False), (0.0, 1.0, True)],
)
def test_each_probability_is_asked_about(draft_prob: float, target_prob: float, replaces: bool):
    assert UNSURE.replaces(draft_prob, target_prob, equal=False) is replaces


def test_an_equal_token_is_never_replaced():
    assert CosdTree(REPLACE).replaces(0.1, 0.9, equal=False)
    assert not CosdTree(REPLACE).replaces(0.1, 0.9, equal=True)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -0.1, 1.1])
@pytest.mark.parametrize("equal", [True, False])
def test_what_is_no_probability_is_a_models_fault(wrong: float, equal: bool):
    for pair in ((wrong, 0.5), (0.5, wrong)):
        with pytest.raises(ModelFault, match="no probability"):
            UNSURE.replaces(*pair, equal)


def test_a_tree_reads_as_text():
    assert str(UNSURE).splitlines() == [
        "if draft_prob <= 0.5000",
        "    if target_prob <= 0.2500",
        "        keep (7 rows)",
        "    else",
        "        replace (5 rows)",
        "else",
        "    keep (7 rows)",
    ]


def split(**changes: Any) -> dict[str, Any]:
    leaf = {"replace": True, "rows": 1}
    return {"if": "draft_prob", "at_most": 0.5, "then": leaf, "else": leaf} | changes


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "format"),
        (b" " * (1 << 19), "at most"),
        (content(format="tiercel-cosd-tree-2"), "format"),
        (content(more=1), "other keys"),
        (content(trained_on=1), "trained_on"),
        (content(trained_on="x" * 2000), "trained_on"),
        (content(tree=[]), "tree is no object"),
        (content(tree={"replace": 1, "rows": 1}), "tree.replace"),
        (content(tree={"replace": True, "rows": -1}), "tree.rows"),
        (content(tree={"replace": True, "rows": True}), "tree.rows"),
        (content(tree={"replace": True}), "neither"),
        (content(tree=split(more=1)), "neither"),
        (content(tree=split(then={})), "tree.then is neither"),
        (content(tree=split(**{"if": "equal"})), "tree.if"),
        (content(tree=split(**{"if": []})), "tree.if"),
        (content(tree=split(at_most=float("nan"))), "tree.at_most"),
        (content(tree=split(at_most=float("inf"))), "tree.at_most"),
        (content(tree=split(at_most=10**400)), "tree.at_most"),
        (content(tree=split(at_most="0.5")), "tree.at_most"),
        (content(tree=split(at_most=True)), "tree.at_most"),
        (CosdTree(of_depth(MAX_DEPTH + 1)).to_json().encode(), "deeper"),
    ],
)
def test_a_file_that_is_no_tree_is_refused(wrong: bytes, reason: str, tmp_path: Path):
    path = tmp_path / "tree.json"
    path.write_bytes(wrong)
    with pytest.raises(ModelUnavailable, match=reason) as raised:
        CosdTree.load(path)
    assert "\n" not in str(raised.value) and str(path) in str(raised.value)


def test_a_tree_of_the_greatest_depth_is_taken():
    assert CosdTree.of(CosdTree(of_depth(MAX_DEPTH)).to_json().encode()).replaces(0.1, 0.1, False)


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(ModelUnavailable, match="No such file"):
        CosdTree.load(tmp_path / "none.json")
