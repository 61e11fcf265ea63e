import time

import numpy as np
import pytest

from tests.engines.passes import logits_by_widths, random_tokens, same_bits
from tiercel.engines import load
from tiercel.engines.language_model import Step
from tiercel.errors import InvalidRequest


def choices(name: str, tokens: list[int]) -> np.ndarray:
    model, _ = load("simulated", name)
    return logits_by_widths(model, tokens, [len(tokens)]).argmax(axis=1)


def test_it_is_labelled() -> None:
    model, tokenizer = load("simulated", "target")
    assert model.description.engine == "simulated"
    assert model.description.vocab_size == tokenizer.vocab_size


def test_tokens_depend_on_the_whole_prefix_and_not_on_the_passes() -> None:
    model, _ = load("simulated", "target")
    tokens = random_tokens(50, 259)
    whole = logits_by_widths(model, tokens, [50])
    assert same_bits(logits_by_widths(model, tokens, [1, 4]), whole)
    other = logits_by_widths(model, [(tokens[0] + 1) % 259, *tokens[1:]], [50])
    assert (whole.argmax(axis=1) != other.argmax(axis=1)).mean() > 0.8


def test_truncating_gives_the_prefix_back() -> None:
    model, _ = load("simulated", "target")
    cache = model.open()
    (first,) = model.extend([Step(cache, [5, 6, 7], 1)])
    model.extend([Step(cache, [8, 9], 1)])
    cache.truncate(2)
    (again,) = model.extend([Step(cache, [7], 1)])
    assert same_bits(first, again)


@pytest.mark.parametrize("acceptance", [0.0, 0.3, 0.8, 1.0])
def test_a_drafter_agrees_at_the_given_share(acceptance: float) -> None:
    tokens = random_tokens(3000, 259)
    agreed = choices("target", tokens) == choices(f"drafter?acceptance={acceptance}", tokens)
    assert agreed.mean() == pytest.approx(acceptance, abs=0.03)


def test_another_seed_is_another_model() -> None:
    tokens = random_tokens(500, 259)
    agreed = choices("target", tokens) == choices("target?seed=1", tokens)
    assert agreed.mean() < 0.15


@pytest.mark.parametrize("busy", [0, 1])
def test_a_pass_takes_at_least_its_time(busy: int) -> None:
    model, _ = load("simulated", f"slow?base_s=0.01&per_token_s=0.005&busy={busy}")
    begin = time.perf_counter()
    model.extend([Step(model.open(), [1, 2], 1), Step(model.open(), [3, 4], 1)])
    assert time.perf_counter() - begin >= 0.03


@pytest.mark.parametrize("name", ["x?acceptance=1.5", "x?base_s=-1", "x?step=1", "x?seed=a"])
def test_a_bad_setting_is_named(name: str) -> None:
    with pytest.raises(InvalidRequest, match=name.partition("?")[2].partition("=")[0]):
        load("simulated", name)
