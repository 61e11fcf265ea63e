"""Small drafters for the tiny target, trained for some seconds on what it says."""

from pathlib import Path

from tests.tiny_model import tiny_gguf
from tiercel.distillation.beginning import first_weights, shape_of
from tiercel.distillation.exporting import write_drafter
from tiercel.distillation.torch_batches import frequent_ids
from tiercel.distillation.torch_training import Schedule, Training
from tiercel.engines.distilled import DistilledModel
from tiercel.engines.distilled_file import DrafterManifest
from tiercel.models.resolve import resolve
from tiercel.tokenizer import Tokenizer

NUM_INPUTS, NUM_OUTPUTS = 200, 128


def training(lessons, target_weights, folder: Path, schedule: Schedule, *, uses_hidden=True):
    """Return a training that begins, or goes on."""
    folder.mkdir(exist_ok=True)
    ids = frequent_ids(lessons, 269, num_inputs=NUM_INPUTS, num_outputs=NUM_OUTPUTS)
    shape = shape_of(
        target_weights.config,
        num_inputs=len(ids.ranked),
        num_outputs=ids.num_outputs,
        uses_hidden=uses_hidden,
    )
    weights = first_weights(target_weights, shape, ids.ranked, lessons)
    return Training(shape, weights, ids, schedule, folder)


def exported(
    trained: Training, tokenizer: Tokenizer, folder: Path, dtype: str, digest: str = "0" * 64
) -> DistilledModel:
    """Return the drafter as a service would load it."""
    manifest = DrafterManifest(
        target="tiny",
        target_digest=digest,
        tokenizer_fingerprint=tokenizer.fingerprint,
        vocab_size=269,
        dtype=dtype,
        shape=trained.drafter.shape,
        num_train_tokens=1,
        num_train_steps=trained.num_steps,
        token_s=0.0,
        held_out={},
    )
    write_drafter(folder, manifest, trained.weights(), trained.ids.ranked, tokenizer)
    return DistilledModel(str(folder))


def tiny_weights(folder: Path):
    """Return the tiny target's weights."""
    return resolve(str(tiny_gguf(folder))).weights
