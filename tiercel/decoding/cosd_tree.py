"""The decision tree of CoSD's learned rule: its file, its check at loading, its evaluation.

`tiercel train cosd-tree` learns one with scikit-learn; a tier that serves it needs none.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tiercel.errors import ModelFault, ModelUnavailable
from tiercel.whole_files import read_small, write_whole

FEATURES = ("draft_prob", "target_prob")
MAX_DEPTH = 8
_FORMAT = "tiercel-cosd-tree-1"
_MAX_BYTES = 1 << 18  # a full tree of MAX_DEPTH, indented, is smaller
_MAX_ABOUT = 1000  # characters
_MOST = 1.0 + 1e-5  # of a probability, after rounding
_KEYS = {"format", "trained_on", "tree"}
_SPLIT_KEYS = {"if", "at_most", "then", "else"}
_LEAF_KEYS = {"replace", "rows"}


@dataclass(frozen=True)
class Leaf:
    """Where a path ends: what to do, and how many rows of training came here."""

    replaces: bool
    num_rows: int


@dataclass(frozen=True)
class Split:
    """A question about one feature: is it at most `threshold`?"""

    feature: str  # one of FEATURES
    threshold: float
    at_most: "Node"
    above: "Node"


Node = Leaf | Split


@dataclass(frozen=True)
class CosdTree:
    """Whether to replace a draft token by the target's, learned from samples (arXiv:2502.08020)."""

    root: Node
    trained_on: str = ""

    @classmethod
    def load(cls, path: str | Path) -> "CosdTree":
        """Return the tree in a file; raises ModelUnavailable, in one line, if it holds none."""
        return read_small(path, _MAX_BYTES, cls.of)

    @classmethod
    def of(cls, content: bytes) -> "CosdTree":
        """Return the tree in a file's content; raises ModelUnavailable if it holds none."""
        if len(content) > _MAX_BYTES:
            raise ModelUnavailable(f"a tree has at most {_MAX_BYTES} bytes")
        try:
            whole = json.loads(content)
        except (ValueError, RecursionError):
            raise ModelUnavailable("no JSON text") from None
        if not isinstance(whole, dict) or whole.get("format") != _FORMAT:
            raise ModelUnavailable(f"its format is not {_FORMAT}")
        _refuse_unless(set(whole) == _KEYS, f"it has other keys than {', '.join(sorted(_KEYS))}")
        about = whole["trained_on"]
        is_text = isinstance(about, str) and len(about) <= _MAX_ABOUT
        _refuse_unless(is_text, f"trained_on is no text of up to {_MAX_ABOUT} characters")
        return cls(_node(whole["tree"], "tree", MAX_DEPTH), about)

    def save(self, path: Path) -> None:
        """Write the tree; a reader finds the old file or the new one, whole."""
        write_whole(path, self.to_json().encode())

    def to_json(self) -> str:
        """Return the file's text."""
        whole = {"format": _FORMAT, "trained_on": self.trained_on, "tree": _plain(self.root)}
        return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"

    def replaces(self, draft_prob: float, target_prob: float, equal: bool) -> bool:
        """Return whether the target's best token is to replace the draft's.

        `draft_prob` is what the draft model gives its own token, `target_prob` what the target
        gives its best one; where the two tokens are `equal` there is nothing to replace. Raises
        ModelFault for a probability outside [0, 1] or NaN.
        """
        # In single precision, as the training compares.
        values = {"draft_prob": np.float32(draft_prob), "target_prob": np.float32(target_prob)}
        for name, value in values.items():
            if not 0.0 <= value <= _MOST:
                raise ModelFault(f"{name} {value} is no probability")
        if equal:
            return False
        node = self.root
        while isinstance(node, Split):
            is_at_most = float(values[node.feature]) <= node.threshold
            node = node.at_most if is_at_most else node.above
        return node.replaces

    def __str__(self) -> str:
        """The tree as indented text, for people."""
        return "\n".join(_lines(self.root, ""))


def _node(value: Any, where: str, depth_left: int) -> Node:
    """Return the node that `value` describes; `where` is its path in the file."""
    _refuse_unless(isinstance(value, dict), f"{where} is no object")
    if set(value) == _LEAF_KEYS:
        rows = value["rows"]
        _refuse_unless(isinstance(value["replace"], bool), f"{where}.replace is no boolean")
        _refuse_unless(type(rows) is int and rows >= 0, f"{where}.rows is no count")
        return Leaf(value["replace"], rows)
    _refuse_unless(set(value) == _SPLIT_KEYS, f"{where} is neither a question nor an end")
    _refuse_unless(depth_left > 0, f"{where} is deeper than {MAX_DEPTH} questions")
    threshold = value["at_most"]
    is_share = type(threshold) in (int, float) and 0 <= threshold <= 1
    _refuse_unless(is_share, f"{where}.at_most is no number from 0 to 1")
    _refuse_unless(value["if"] in FEATURES, f"{where}.if is not one of {', '.join(FEATURES)}")
    return Split(
        value["if"],
        float(threshold),
        _node(value["then"], f"{where}.then", depth_left - 1),
        _node(value["else"], f"{where}.else", depth_left - 1),
    )


def _refuse_unless(holds: bool, why: str) -> None:
    if not holds:
        raise ModelUnavailable(why)


def _plain(node: Node) -> dict[str, Any]:
    if isinstance(node, Leaf):
        return {"replace": node.replaces, "rows": node.num_rows}
    return {
        "if": node.feature,
        "at_most": node.threshold,
        "then": _plain(node.at_most),
        "else": _plain(node.above),
    }


def _lines(node: Node, indent: str) -> Iterator[str]:
    if isinstance(node, Leaf):
        yield f"{indent}{'replace' if node.replaces else 'keep'} ({node.num_rows} rows)"
        return
    yield f"{indent}if {node.feature} <= {node.threshold:.4f}"
    yield from _lines(node.at_most, indent + "    ")
    yield f"{indent}else"
    yield from _lines(node.above, indent + "    ")
