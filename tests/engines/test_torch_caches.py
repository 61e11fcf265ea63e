"""Pages: bounded, shared by prefixes until someone writes, given back; refused when all taken."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.engines.passes import logits_by_widths, random_tokens
from tests.tiny_model import tiny_gguf
from tiercel.engines import load
from tiercel.engines.language_model import Step
from tiercel.engines.torch import TorchModel
from tiercel.engines.torch_cache import PAGE_SIZE, PagePool, TorchCache, check_room
from tiercel.errors import Overloaded

VOCAB = 269
CACHE_TOKENS = 20 * PAGE_SIZE


@pytest.fixture
def model(tiny_folder: Path) -> Iterator[TorchModel]:
    path = str(tiny_gguf(tiny_folder))
    loaded, _ = load("torch", path, device="cpu", threads=1, cache_tokens=CACHE_TOKENS)
    assert isinstance(loaded, TorchModel)
    yield loaded
    loaded.close()


def test_a_full_cache_is_refused_before_anything_is_touched(model: TorchModel) -> None:
    tokens = random_tokens(200, VOCAB)
    cache, other = model.open(), model.open()
    model.extend([Step(cache, tokens, 0)])
    free = model.num_free_tokens
    with pytest.raises(Overloaded, match="full"):
        model.extend([Step(cache, [1], 1), Step(other, tokens[:90], 0)])
    assert (cache.length, other.length, model.num_free_tokens) == (200, 0, free)
    [rows] = model.extend([Step(other, tokens[:80], 80)])
    cache.close()
    other.close()
    assert model.num_free_tokens == CACHE_TOKENS
    np.testing.assert_allclose(rows, logits_by_widths(model, tokens[:80], [80]), atol=1e-3)


def test_what_is_given_back_is_used_again_and_forgotten(model: TorchModel) -> None:
    tokens = random_tokens(CACHE_TOKENS, VOCAB, seed=4)
    expected = logits_by_widths(model, tokens, [7, 1, 40])
    for seed in range(3):
        cache = model.open()
        model.extend([Step(cache, random_tokens(CACHE_TOKENS, VOCAB, seed), 0)])
        cache.truncate(0)
        [rows] = model.extend([Step(cache, tokens, len(tokens))])
        np.testing.assert_allclose(rows, expected, atol=1e-3)
        cache.close()
        cache.close()
    assert model.num_free_tokens == CACHE_TOKENS


def test_sharing_a_prefix_takes_no_memory_until_it_is_written(model: TorchModel) -> None:
    tokens = random_tokens(70, VOCAB)
    source = model.open()
    model.extend([Step(source, tokens, 0)])
    free = model.num_free_tokens
    copies = [model.open(source, 70) for _ in range(3)]
    assert model.num_free_tokens == free
    found = model.extend(
        [Step(copy, [token], 1) for copy, token in zip(copies, [5, 6, 7], strict=True)]
    )
    assert model.num_free_tokens == free - 3 * PAGE_SIZE, "the last page of each"
    source.close()
    for token, rows in zip([5, 6, 7], found, strict=True):
        expected = logits_by_widths(model, [*tokens, token], [71])[-1:]
        np.testing.assert_allclose(rows, expected, atol=1e-3)
    for copy in copies:
        copy.close()
    assert model.num_free_tokens == CACHE_TOKENS


def test_two_owners_of_a_page_that_write_in_one_pass_do_not_meet(model: TorchModel) -> None:
    tokens = random_tokens(20, VOCAB)
    source = model.open()
    model.extend([Step(source, tokens, 0)])
    copy = model.open(source, 20)
    first, second = model.extend([Step(source, [8, 9], 1), Step(copy, [10, 11], 1)])
    for tail, rows in (([8, 9], first), ([10, 11], second)):
        expected = logits_by_widths(model, tokens + tail, [22])[-1:]
        np.testing.assert_allclose(rows, expected, atol=1e-3)
    source.close()
    copy.close()


@pytest.mark.parametrize("length", [-1, 21])
def test_a_length_that_is_not_held_is_refused(model: TorchModel, length: int) -> None:
    cache = model.open()
    model.extend([Step(cache, random_tokens(20, VOCAB), 0)])
    with pytest.raises(ValueError, match="truncate"):
        cache.truncate(length)
    cache.close()
    with pytest.raises(ValueError, match="closed"):
        model.extend([Step(cache, [1], 0)])


def test_room_counts_new_pages_and_the_shared_ones_that_will_be_copied() -> None:
    pool = PagePool(5)  # four pages to give
    cache = TorchCache(pool)
    check_room(pool, [cache], [4 * PAGE_SIZE])
    with pytest.raises(Overloaded):
        check_room(pool, [cache], [4 * PAGE_SIZE + 1])
    cache.grow(PAGE_SIZE + 1)
    copy = TorchCache(pool, cache.pages, PAGE_SIZE + 1)
    check_room(pool, [copy], [2 * PAGE_SIZE - 1])
    with pytest.raises(Overloaded):
        check_room(pool, [copy], [2 * PAGE_SIZE])
    copy.grow(1)
    assert copy.pages[0] == cache.pages[0]
    assert (pool.upkeep.copied_from, pool.upkeep.copied_to) == ([cache.pages[1]], [copy.pages[1]])
    assert 0 not in copy.pages + cache.pages, "page 0 is for padding"
    cache.close()
    copy.close()
    assert pool.num_free == 4


def test_prompts_leave_room_for_sequences_that_are_decoded() -> None:
    pool = PagePool(17)  # of sixteen pages a prompt in company leaves two
    alone, running = TorchCache(pool), TorchCache(pool)
    check_room(pool, [alone], [16 * PAGE_SIZE])
    running.grow(10 * PAGE_SIZE)
    check_room(pool, [alone], [4 * PAGE_SIZE])
    with pytest.raises(Overloaded, match="80 tokens more do not fit into 64"):
        check_room(pool, [alone], [4 * PAGE_SIZE + 1])
    check_room(pool, [running, *(TorchCache(pool) for _ in range(5))], [PAGE_SIZE] * 6)
    running.grow(6 * PAGE_SIZE)
    with pytest.raises(Overloaded):
        check_room(pool, [alone], [1])
