"""From a model's name to its weights and tokenizer."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tiercel.errors import ModelUnavailable
from tiercel.models.embedded import EMBEDDED, embedded_file
from tiercel.models.gguf_weights import GgufWeights
from tiercel.models.hub import downloaded_folder, is_hub_id
from tiercel.models.safetensors_weights import SafetensorsWeights
from tiercel.models.weights import Weights
from tiercel.tokenizer import Tokenizer


@dataclass(frozen=True)
class Checkpoint:
    """A model on this machine: its name, its file or folder, its weights and its tokenizer."""

    name: str
    path: Path  # a .gguf file, or a folder in the layout of Hugging Face
    weights: Weights
    read_tokenizer: Callable[[], Tokenizer]


def resolve(name: str) -> Checkpoint:
    """Return the model called `name`, fetched first if it has to be.

    `name` is `smollm2-135m`, a .gguf file, a folder (config.json, tokenizer.json and
    *.safetensors, or one .gguf file), or a Hugging Face id. Raises ModelUnavailable.
    """
    if name in EMBEDDED:
        return _from_gguf(name, embedded_file(name), digest=EMBEDDED[name].sha256)
    path = Path(name).expanduser()
    if path.is_file():
        return _from_file(path)
    if name and path.is_dir():
        return _from_folder(path.name, path)
    if is_hub_id(name):
        return _from_folder(name, downloaded_folder(name))
    raise ModelUnavailable(
        f"no model {name!r}: neither {', '.join(EMBEDDED)} nor a file, a folder or a hub id"
    )


def _from_file(path: Path) -> Checkpoint:
    if path.suffix != ".gguf":
        raise ModelUnavailable(f"{path} is no .gguf file")
    return _from_gguf(path.stem, path)


def _from_folder(name: str, folder: Path) -> Checkpoint:
    gguf_files = sorted(folder.glob("*.gguf"))
    if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
        weights = SafetensorsWeights(folder)
        return Checkpoint(name, folder, weights, lambda: Tokenizer.from_folder(folder))
    if len(gguf_files) == 1:
        return _from_gguf(name, gguf_files[0])
    raise ModelUnavailable(
        f"{folder} holds neither config.json with *.safetensors nor exactly one .gguf file"
    )


def _from_gguf(name: str, path: Path, digest: str | None = None) -> Checkpoint:
    weights = GgufWeights(path, digest)
    return Checkpoint(name, path, weights, lambda: Tokenizer.from_gguf(weights.metadata))
