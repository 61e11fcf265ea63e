"""Hidden states are the head's input, row for row, however a text is cut up."""

import numpy as np
import pytest

from tests.engines.conftest import TinyLoader
from tests.engines.passes import random_tokens
from tests.tiny_model import HIDDEN, tiny_tensors
from tiercel.engines.language_model import Step


@pytest.mark.parametrize("count", [1, 2, 65, 130])
def test_the_head_makes_the_logits_of_them(load_tiny: TinyLoader, count: int) -> None:
    model = load_tiny("fp32")
    hidden = np.full((count, HIDDEN), np.nan, np.float32)
    tokens = random_tokens(130, model.description.vocab_size)
    (logits,) = model.extend([Step(model.open(), tokens, count, hidden)])
    assert model.description.hidden_size == HIDDEN
    np.testing.assert_allclose(hidden @ tiny_tensors(0)["output.weight"].T, logits, atol=1e-3)


@pytest.mark.parametrize("dtype", ["fp32", "int8", "int4"])
def test_they_do_not_depend_on_the_widths_of_the_passes(load_tiny: TinyLoader, dtype: str) -> None:
    model = load_tiny(dtype)
    tokens = random_tokens(90, model.description.vocab_size)
    whole = np.empty((90, HIDDEN), np.float32)
    model.extend([Step(model.open(), tokens, 90, whole)])
    cache, parts = model.open(), np.empty((90, HIDDEN), np.float32)
    for start, end in ((0, 1), (1, 3), (3, 73), (73, 90)):
        model.extend([Step(cache, tokens[start:end], end - start, parts[start:end])])
    assert parts.tobytes() == whole.tobytes()


def test_a_step_that_asks_for_none_writes_none(load_tiny: TinyLoader) -> None:
    model = load_tiny("fp32")
    hidden = np.empty((1, HIDDEN), np.float32)
    cache = model.open()
    model.extend([Step(cache, [5, 6], 1, hidden)])
    kept = hidden.copy()
    model.extend([Step(cache, [7], 1)])
    assert hidden.tobytes() == kept.tobytes()
