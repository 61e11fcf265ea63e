"""Writes a trained drafter as a folder that a drafter service can load, with its model card."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from tiercel.decoding import Vocabulary
from tiercel.engines.distilled_file import (
    MANIFEST_FILE,
    VOCABULARY_FILE,
    DrafterManifest,
    HeldOut,
)
from tiercel.engines.distilled_graph import build_drafter_graph
from tiercel.tokenizer import Tokenizer
from tiercel.whole_files import write_whole

WEIGHTS_FILE = "drafter.safetensors"
CARD_FILE = "README.md"


def write_drafter(
    folder: Path,
    manifest: DrafterManifest,
    tensors: Mapping[str, NDArray[np.float32]],
    ids: NDArray[np.uint32],
    tokenizer: Tokenizer,
) -> None:
    """Write graph, weights, vocabulary and manifest; `ids` are those of the table's rows.

    The vocabulary holds what drawing needs of every id of the target, so that the drafter service
    needs no tokenizer: bytes of each as a hash and their number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    build_drafter_graph(manifest.shape, tensors, manifest.dtype, folder)
    halves = {name: values.astype(np.float16) for name, values in tensors.items()}
    write_whole(folder / WEIGHTS_FILE, save(halves))
    every = range(manifest.vocab_size)
    vocabulary = Vocabulary.of([tokenizer.token_bytes(id) for id in every])
    columns: dict[str, NDArray[np.generic]] = {
        "ids": ids,
        "hashes": vocabulary.hashes,
        "widths": vocabulary.widths.astype(np.uint16),
    }
    write_whole(folder / VOCABULARY_FILE, save(columns))
    _write_manifest(folder, manifest)


def describe_drafter(
    folder: Path, manifest: DrafterManifest, data: Mapping[str, int], command: str
) -> None:
    """Write the manifest with its figures, and the model card.

    `data` is the number of answers trained on by data set.
    """
    write_whole(folder / CARD_FILE, _model_card(manifest, data, command).encode())
    _write_manifest(folder, manifest)


def _write_manifest(folder: Path, manifest: DrafterManifest) -> None:
    content = manifest.model_dump_json(indent=2).encode() + b"\n"
    write_whole(folder / MANIFEST_FILE, content)


def _model_card(manifest: DrafterManifest, data: Mapping[str, int], command: str) -> str:
    shape = manifest.shape
    kind = (
        "one layer on the target's last hidden state and the next token's embedding"
        if shape.uses_hidden
        else "two layers on tokens alone"
    )
    lines = [
        f"# A drafter for {manifest.target}",
        "",
        f"Proposes tokens that {manifest.target} then verifies: {kind}. It knows "
        f"{shape.num_inputs} ids and proposes {shape.num_outputs}, those that the target said "
        "most often. Made from the target's weights and its own answers; the target's licence "
        "holds for it.",
        "",
        f"- Target's weights: sha256 `{manifest.target_digest}`",
        f"- Graph: {manifest.dtype}, {1e3 * manifest.token_s:.2f} ms a token on one core",
        f"- Training: {manifest.num_train_steps} steps on {manifest.num_train_tokens} tokens",
        f"- Made by: `{command}`",
        "",
        "## Data",
        "",
        "Answers of the target, greedy and sampled at 0.7, to prompts of these sets. One prompt in "
        "twenty is held out.",
        "",
        "| data set | answers |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in sorted(data.items())),
        "",
        "## Held-out acceptance",
        "",
        "Share of drafts that meet the target's greedy choice, by place in the draft; at each "
        "place of the drafts that were right up to there.",
        "",
        "| kind of task | tokens | 1 | 2 | 3 | 4 |",
        "|---|---|---|---|---|---|",
        *(_row(name, figures) for name, figures in manifest.held_out.items()),
    ]
    return "\n".join(lines) + "\n"


def _row(kind: str, figures: HeldOut) -> str:
    places = " | ".join(f"{rate:.2f}" for rate in figures.acceptance)
    return f"| {kind} | {figures.num_tokens} | {places} |"
