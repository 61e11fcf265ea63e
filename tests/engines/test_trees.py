"""Several continuations in one pass: a row is what its own path alone would give it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.conftest import TinyLoader
from tests.engines.passes import logits_by_widths, random_tokens, same_bits
from tests.tiny_model import tiny_gguf
from tiercel.engines import load
from tiercel.engines.language_model import LanguageModel, Logits, Step
from tiercel.engines.torch import TorchModel
from tiercel.engines.trees import branches, path_to
from tiercel.errors import InvalidRequest, Overloaded

VOCAB = 269


@pytest.fixture(scope="module", params=["native int4", "native int8", "torch fp32"])
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LanguageModel]:
    folder = tmp_path_factory.mktemp("tiny")
    engine, dtype = request.param.split()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIERCEL_CACHE", str(folder / "cache"))
        loaded, _ = load(engine, str(tiny_gguf(folder)), dtype=dtype, device="cpu", threads=1)
    yield loaded
    loaded.close()


def alone(model: LanguageModel, tokens: list[int]) -> Logits:
    return logits_by_widths(model, tokens, [len(tokens)])[-1:]


def same(model: LanguageModel, rows: Logits, expected: Logits) -> bool:
    """Compare bits where the engine promises them."""
    if model.description.engine == "native":
        return same_bits(np.ascontiguousarray(rows), expected)
    return np.allclose(rows, expected, atol=1e-3)


PREFIX = random_tokens(70, VOCAB, seed=3)

trees = st.lists(st.integers(0, 30), min_size=1, max_size=20).map(
    lambda numbers: [number % (place + 1) - 1 for place, number in enumerate(numbers)]
)


@settings(max_examples=15, deadline=None)
@given(parents=trees, held=st.integers(0, 70))
def test_a_row_of_a_tree_sees_its_path_and_nothing_else(model, parents, held) -> None:
    prefix, tokens = PREFIX[:held], random_tokens(len(parents), VOCAB, seed=len(parents))
    cache = model.open()
    if prefix:
        model.extend([Step(cache, prefix, 0)])
    (rows,) = model.extend([Step(cache, tokens, len(tokens), parents=parents)])
    for place in range(len(tokens)):
        path = path_to(place, parents)
        expected = alone(model, [*prefix, *(tokens[step] for step in path)])
        assert same(model, rows[place : place + 1], expected), path
    cache.close()


@settings(max_examples=15, deadline=None)
@given(parents=trees, held=st.integers(0, 70), data=st.data())
def test_the_path_that_is_kept_is_as_if_it_had_been_fed_alone(model, parents, held, data) -> None:
    prefix, tokens = PREFIX[:held], random_tokens(len(parents), VOCAB, seed=len(parents))
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
    assert same(model, rows, logits_by_widths(model, [*kept, 7, 8, 9], [len(kept) + 3])[-3:])
    cache.close()


def test_the_wrong_path_gives_other_bits(model: LanguageModel) -> None:
    cache = model.open()
    model.extend([Step(cache, PREFIX, 0)])
    model.extend([Step(cache, [1, 2, 3, 4], 0, parents=[-1, 0, -1, 2])])
    cache.keep([0, 1])
    (rows,) = model.extend([Step(cache, [7], 1)])
    assert not same(model, rows, alone(model, [*PREFIX, 3, 4, 7]))


def test_trees_and_paths_of_several_sessions_share_passes(model: LanguageModel) -> None:
    parents = [-1, *range(39), *(0 for _ in range(20)), 45, 46]
    texts = [random_tokens(62, VOCAB, seed=seed) for seed in range(3)]
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
            assert same(model, rows[place : place + 1], alone(model, way))
    assert same(model, path[1:], alone(model, texts[1]))


def test_nonsense_is_refused_before_the_cache_is_touched(model: LanguageModel) -> None:
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


def test_hidden_states_of_a_tree_are_those_of_its_paths(model: LanguageModel) -> None:
    size, parents, tokens = model.description.hidden_size, [-1, -1, 0, 1, 1], [5, 6, 7, 8, 9]
    cache, hidden = model.open(), np.zeros((4, size), np.float32)
    model.extend([Step(cache, PREFIX, 0)])
    model.extend([Step(cache, tokens, 4, hidden, parents)])
    for place in range(1, 5):
        other, expected = model.open(), np.zeros((1, size), np.float32)
        way = [*PREFIX, *(tokens[step] for step in path_to(place, parents))]
        model.extend([Step(other, way, 1, expected)])
        assert np.allclose(hidden[place - 1], expected, atol=1e-3)
        other.close()
    cache.close()


def test_pages_of_a_tree_are_given_back(tiny_folder: Path) -> None:
    model, _ = load("torch", str(tiny_gguf(tiny_folder)), device="cpu", threads=1, cache_tokens=320)
    assert isinstance(model, TorchModel)
    cache, free = model.open(), model.num_free_tokens
    parents = [-1, 0, 1, *(0 for _ in range(9))]
    for path in ([0, 1, 2], [0, 7], [], None):
        model.extend([Step(cache, PREFIX[: 40 - cache.length], 0)])
        model.extend([Step(cache, random_tokens(12, VOCAB), 12, parents=parents)])
        if path is None:
            cache.truncate(0)
        else:
            cache.keep(path)
            assert cache.length == 40 + len(path)
            cache.truncate(7)
    with pytest.raises(Overloaded):
        model.extend([Step(cache, random_tokens(60, VOCAB), 1, parents=[-1] * 60)])
    assert (cache.length, model.num_free_tokens) == (0, free)
    model.extend([Step(cache, [1, 2], 0, parents=[-1, -1])])
    cache.close()
    assert model.num_free_tokens == free
    model.close()
