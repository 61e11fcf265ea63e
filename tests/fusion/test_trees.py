"""A tree that scikit-learn learned answers as scikit-learn does, from the right rows."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.fusion.hashed_model import HashedModel
from tests.tiny_model import tiny_gguf
from tiercel import engines
from tiercel.cli.__main__ import app
from tiercel.decoding.cosd_tree import MAX_DEPTH, CosdTree, Leaf, Node
from tiercel.errors import InvalidRequest
from tiercel.evaluation.fusion.disagreements import Disagreement, disagreements, shares_right
from tiercel.evaluation.fusion.methods import Question, target_alone
from tiercel.evaluation.fusion.reading import run
from tiercel.evaluation.items import Item
from tiercel.evaluation.sets import SETS
from tiercel.specialisation.samples import Sample

sklearn_tree = pytest.importorskip("sklearn.tree", reason="needs the extra `train`")
from tiercel.evaluation.fusion.tree_training import learned_tree  # noqa: E402

shares = st.floats(0, 1)
rows = st.lists(st.builds(Disagreement, shares, shares, st.booleans()), min_size=10, max_size=60)


@settings(max_examples=40, deadline=None)
@given(rows, st.integers(1, MAX_DEPTH), st.integers(1, 5), st.lists(st.tuples(shares, shares)))
def test_a_learned_tree_answers_as_scikit_learn_does(found, max_depth, min_rows, asked):
    tree = learned_tree(found, max_depth=max_depth, min_rows=min_rows)
    reference = sklearn_tree.DecisionTreeClassifier(
        max_depth=max_depth, min_samples_leaf=min_rows, random_state=0
    )
    pairs = [(one.draft_prob, one.target_prob) for one in found]
    reference.fit(np.array(pairs), [one.target_is_right for one in found])
    expected = reference.predict(np.array([*pairs, *asked])).tolist()
    loaded = CosdTree.of(tree.to_json().encode())
    assert [loaded.replaces(*pair, equal=False) for pair in [*pairs, *asked]] == expected


def ends(node: Node) -> list[Leaf]:
    return [node] if isinstance(node, Leaf) else [*ends(node.at_most), *ends(node.above)]


def test_a_tree_finds_the_rule_that_it_was_shown():
    drawn = np.random.default_rng(0).random((200, 2)).tolist()
    found = [Disagreement(draft, target, draft < 0.5) for draft, target in drawn]
    tree = learned_tree(found, max_depth=3, min_rows=5, trained_on="made up")
    assert len(ends(tree.root)) == 2, "questions that change nothing are left out"
    assert sum(end.num_rows for end in ends(tree.root)) == 200
    assert tree.replaces(0.4, 0.1, equal=False) and not tree.replaces(0.6, 0.9, equal=False)
    assert tree.trained_on == "made up"


def test_too_few_disagreements_are_refused():
    with pytest.raises(InvalidRequest, match="less than 10"):
        learned_tree([Disagreement(0.5, 0.5, True)] * 9, max_depth=2, min_rows=1)


def test_only_positions_at_which_exactly_one_model_is_right_teach():
    draft, target = HashedModel(1), HashedModel(2)
    sample = Sample((1, 2), (3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 1))
    found = list(disagreements(draft, target, [sample]))
    expected = []
    for place, right in enumerate(sample.answer_ids):
        prefix = [*sample.prompt_ids, *sample.answer_ids[:place]]
        (own, own_prob), (other, other_prob) = (top(one.row(prefix)) for one in (draft, target))
        if (own == right) != (other == right):
            expected.append((own_prob, other_prob, other == right))
    got = [(one.draft_prob, one.target_prob, one.target_is_right) for one in found]
    assert [one[2] for one in got] == [one[2] for one in expected]
    np.testing.assert_allclose([one[:2] for one in got], [one[:2] for one in expected])
    assert {one.target_is_right for one in found} == {True, False}
    assert sum(shares_right(found)) == pytest.approx(1)
    assert all(cache.closed for cache in [*draft.caches, *target.caches])


def top(row: np.ndarray) -> tuple[int, float]:
    weights = np.exp(row.astype(np.float64))
    return int(row.argmax()), float(weights.max() / weights.sum())


def test_the_command_learns_a_tree_from_two_models(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TIERCEL_CACHE", str(tmp_path / "cache"))
    data, out = tmp_path / "data.jsonl", tmp_path / "trees" / "tree.json"
    draft, target = (str(tiny_gguf(tmp_path, noise=noise)) for noise in (0.05, 0.0))
    prompts = [f"say the {n}" for n in range(12)]
    pairs = zip(prompts, answers_of(target, prompts), strict=True)
    lines = [{"id": prompt, "prompt": prompt, "reference": answer} for prompt, answer in pairs]
    data.write_text("\n".join(map(json.dumps, lines)))
    command = ["train", "cosd-tree", "--task", "nq_open_dev", "--data", str(data)]
    command += ["--draft", draft, "--target", target, "--engine", "onnx", "--dtype", "fp32"]
    result = CliRunner().invoke(app, [*command, "--samples", "12", "--out", str(out)])
    assert result.exit_code == 0, result.output
    tree = CosdTree.load(out)
    assert "of nq_open_dev" in tree.trained_on
    assert str(tree) in result.stdout
    assert tree.replaces(0.3, 0.9, equal=False), "the target wrote the answers"


def answers_of(model: str, prompts: list[str]) -> list[str]:
    """Return text that the model itself would answer, as far as it is text."""
    loaded, tokenizer = engines.load("onnx", model, dtype="fp32", threads=1)
    asked = [SETS["nq_open_dev"].messages(Item("", "", prompt, "")) for prompt in prompts]
    questions = [Question(tuple(tokenizer.render(one)), 24, frozenset()) for one in asked]
    works = ((at, target_alone(one, loaded, loaded)) for at, one in enumerate(questions))
    found = dict(run(works, 1))
    loaded.close()
    return [tokenizer.decode(found[at].token_ids, skip_special=True) for at in range(len(prompts))]
