"""Engines: ways to run a language model. Each is loaded lazily, by name, through `load`."""

from collections.abc import Callable

from tiercel.engines.language_model import LanguageModel
from tiercel.errors import InvalidRequest
from tiercel.models.resolve import resolve
from tiercel.tokenizer import Tokenizer

Loaded = tuple[LanguageModel, Tokenizer]


def _load_onnx(model: str, dtype: str | None, threads: int, max_length: int | None) -> Loaded:
    from tiercel.engines.onnx import OnnxModel

    checkpoint = resolve(model)
    tokenizer = checkpoint.read_tokenizer()
    loaded = OnnxModel(
        checkpoint.name,
        checkpoint.weights,
        dtype=dtype or "int8",
        threads=threads,
        max_length=max_length,
    )
    return loaded, tokenizer


_ENGINES: dict[str, Callable[[str, str | None, int, int | None], Loaded]] = {"onnx": _load_onnx}


def load(
    engine: str,
    model: str,
    *,
    dtype: str | None = None,
    threads: int = 0,
    max_length: int | None = None,
) -> Loaded:
    """Load `model` on `engine` and return it with its tokenizer.

    No `dtype` is the engine's own choice, 0 threads one for each core, no `max_length` what the
    model can hold, up to 4096. Raises InvalidRequest for a setting that cannot be honoured and
    ModelUnavailable for a model that cannot be loaded.
    """
    if engine not in _ENGINES:
        raise InvalidRequest("engine", engine, f"must be one of {', '.join(_ENGINES)}")
    return _ENGINES[engine](model, dtype, threads, max_length)
