"""Several continuations in one pass: a row has the bits that its own path alone would give it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.conftest import TinyLoader
from tests.engines.passes import logits_by_widths, random_tokens, same_bits
from tests.engines.test_native import tiny
from tiercel.engines.language_model import Step
from tiercel.engines.native import NativeModel
from tiercel.engines.trees import branches, path_to
from tiercel.errors import InvalidRequest


@pytest.fixture(scope="module", params=["int4", "int8"])
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NativeModel]:
    folder: Path = tmp_path_factory.mktemp("tiny")
    loaded = tiny(folder, request.param)
    yield loaded
    loaded.close()


def alone(model: NativeModel, tokens: list[int]) -> np.ndarray:
    return logits_by_widths(model, tokens, [len(tokens)])[-1:]


PREFIX = random_tokens(70, 269, seed=3)

trees = st.lists(st.integers(0, 30), min_size=1, max_size=20).map(
    lambda numbers: [number % (place + 1) - 1 for place, number in enumerate(numbers)]
)


@settings(max_examples=25, deadline=None)
@given(parents=trees, held=st.integers(0, 70))
def test_a_row_of_a_tree_sees_its_path_and_nothing_else(model, parents, held) -> None:
    prefix, tokens = PREFIX[:held], random_tokens(len(parents), 269, seed=len(parents))
    cache = model.open()
    if prefix:
        model.extend([Step(cache, prefix, 0)])
    (rows,) = model.extend([Step(cache, tokens, len(tokens), parents=parents)])
    for place in range(len(tokens)):
        path = path_to(place, parents)
        expected = alone(model, [*prefix, *(tokens[step] for step in path)])
        assert same_bits(np.ascontiguousarray(rows[place : place + 1]), expected), path
    cache.close()


@settings(max_examples=25, deadline=None)
@given(parents=trees, held=st.integers(0, 70), data=st.data())
def test_the_path_that_is_kept_is_as_if_it_had_been_fed_alone(model, parents, held, data) -> None:
    prefix, tokens = PREFIX[:held], random_tokens(len(parents), 269, seed=len(parents))
    path = data.draw(st.sampled_from(branches(parents)))
    path = path[: data.draw(st.integers(0, len(path)))]
    cache = model.open()
    if prefix:
        model.extend([Step(cache, prefix, 0)])
    model.extend([Step(cache, tokens, 0, parents=parents)])
    cache.keep(path)
    kept = [*prefix, *(tokens[place] for place in path)]
    assert cache.length == len(kept)
    (rows,) = model.extend([Step(cache, [7, 8, 9], 3)])
    assert same_bits(
        np.ascontiguousarray(rows), logits_by_widths(model, [*kept, 7, 8, 9], [len(kept) + 3])[-3:]
    )
    cache.close()


def test_the_wrong_path_gives_other_bits(model: NativeModel) -> None:
    cache = model.open()
    model.extend([Step(cache, PREFIX, 0)])
    model.extend([Step(cache, [1, 2, 3, 4], 0, parents=[-1, 0, -1, 2])])
    cache.keep([0, 1])
    (rows,) = model.extend([Step(cache, [7], 1)])
    assert not same_bits(np.ascontiguousarray(rows), alone(model, [*PREFIX, 3, 4, 7]))


def test_trees_and_paths_of_several_sessions_share_passes(model: NativeModel) -> None:
    parents = [-1, *range(39), *(0 for _ in range(20)), 45, 46]
    texts = [random_tokens(62, 269, seed=seed) for seed in range(3)]
    caches = [model.open() for _ in texts]
    model.extend([Step(caches[0], PREFIX, 0)])
    steps = [
        Step(caches[0], texts[0], 62, parents=parents),
        Step(caches[1], texts[1], 2),
        Step(caches[2], texts[2], 62, parents=parents),
    ]
    tree, path, other = model.extend(steps)
    for rows, prefix, tokens in ((tree, PREFIX, texts[0]), (other, [], texts[2])):
        for place in (0, 39, 45, 60, 61):
            way = [*prefix, *(tokens[step] for step in path_to(place, parents))]
            assert same_bits(np.ascontiguousarray(rows[place : place + 1]), alone(model, way))
    assert same_bits(np.ascontiguousarray(path[1:]), alone(model, texts[1]))


def test_nonsense_is_refused_before_the_cache_is_touched(model: NativeModel) -> None:
    cache = model.open()
    for parents in ([-1], [-1, 1], [-2, 0], [0, 0], [-1, 0, 1]):
        with pytest.raises(InvalidRequest, match="parents"):
            model.extend([Step(cache, [1, 2], 1, parents=parents)])
    assert cache.length == 0
    model.extend([Step(cache, [1, 2, 3], 1, parents=[-1, -1, 1])])
    with pytest.raises(ValueError, match="no path"):
        cache.keep([0, 2])
    with pytest.raises(ValueError, match="keep one"):
        model.extend([Step(cache, [1], 1)])
    cache.keep([1, 2])
    assert cache.length == 2


def test_an_engine_without_trees_refuses_one(load_tiny: TinyLoader) -> None:
    other = load_tiny("int4")
    assert not other.description.takes_trees
    with pytest.raises(InvalidRequest, match="takes no trees"):
        other.extend([Step(other.open(), [1, 2], 1, parents=[-1, -1])])
