"""Learns a tree of CoSD from disagreements, with scikit-learn."""

from collections.abc import Sequence

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from tiercel.decoding.cosd_tree import FEATURES, CosdTree, Leaf, Node, Split
from tiercel.errors import InvalidRequest
from tiercel.evaluation.fusion.disagreements import Disagreement

_FEWEST = 10


def learned_tree(
    found: Sequence[Disagreement], *, max_depth: int, min_rows: int, trained_on: str = ""
) -> CosdTree:
    """Return a tree of up to `max_depth` questions with `min_rows` rows or more at every end.

    Raises InvalidRequest for less than 10 disagreements.
    """
    if len(found) < _FEWEST:
        raise InvalidRequest("samples", len(found), f"give less than {_FEWEST} disagreements")
    features = np.array([(one.draft_prob, one.target_prob) for one in found], np.float32)
    labels = np.array([one.target_is_right for one in found])
    classifier = DecisionTreeClassifier(
        max_depth=max_depth, min_samples_leaf=min_rows, random_state=0
    )
    classifier.fit(features, labels)
    return CosdTree(_pruned(_node(classifier, 0)), trained_on)


def _node(classifier: DecisionTreeClassifier, index: int) -> Node:
    """Return a node of the fitted tree as one of ours."""
    tree = classifier.tree_
    below, above = tree.children_left[index], tree.children_right[index]
    if below == above:
        label = classifier.classes_[int(np.argmax(tree.value[index][0]))]
        return Leaf(bool(label), int(tree.n_node_samples[index]))
    return Split(
        FEATURES[tree.feature[index]],
        float(tree.threshold[index]),
        _node(classifier, below),
        _node(classifier, above),
    )


def _pruned(node: Node) -> Node:
    """Return the tree without questions whose answer changes nothing."""
    if isinstance(node, Leaf):
        return node
    at_most, above = _pruned(node.at_most), _pruned(node.above)
    if isinstance(at_most, Leaf) and isinstance(above, Leaf) and at_most.replaces == above.replaces:
        return Leaf(at_most.replaces, at_most.num_rows + above.num_rows)
    return Split(node.feature, node.threshold, at_most, above)
