"""The drafters that come with Tiercel load, fit their targets, and are small."""

import numpy as np
import pytest

from tiercel.engines.distilled import DistilledModel, drafter_folder
from tiercel.models.embedded import EMBEDDED


@pytest.mark.parametrize("name", EMBEDDED)
def test_it_is_of_the_embedded_model_and_drafts(name: str) -> None:
    model = DistilledModel(name)
    shape = model.manifest.shape
    assert model.manifest.target_digest == EMBEDDED[name].sha256
    assert model.manifest.held_out["all"].acceptance[0] > 0.3
    hidden = np.random.default_rng(0).normal(size=(3, shape.hidden_size)).astype(np.float32)
    state, logits = model.extend(model.open(), [5, 6, 7], hidden)
    assert (state.shape, logits.shape) == ((shape.hidden_size,), (shape.num_outputs,))
    assert np.isfinite(logits).all()
    assert 0 <= model.token_id(int(np.argmax(logits))) < model.manifest.vocab_size


@pytest.mark.parametrize("name", EMBEDDED)
def test_it_takes_at_most_20_megabytes(name: str) -> None:
    files = [path for path in drafter_folder(name).iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 20e6
