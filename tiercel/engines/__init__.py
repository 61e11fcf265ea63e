"""Engines: ways to run a language model. Each is loaded lazily, by name, through `load`."""

from collections.abc import Callable
from dataclasses import dataclass

from tiercel.engines.language_model import LanguageModel
from tiercel.errors import InvalidRequest, ModelUnavailable
from tiercel.models.resolve import resolve
from tiercel.tokenizer import Tokenizer

Loaded = tuple[LanguageModel, Tokenizer]


@dataclass(frozen=True)
class _Options:
    """What `load` was asked for beside the model."""

    dtype: str | None
    device: str
    threads: int
    max_length: int | None


def _load_onnx(model: str, options: _Options) -> Loaded:
    from tiercel.engines.onnx import OnnxModel

    if options.device not in ("auto", "cpu"):
        raise InvalidRequest("device", options.device, "the onnx engine runs on the cpu")
    checkpoint = resolve(model)
    tokenizer = checkpoint.read_tokenizer()
    loaded = OnnxModel(
        checkpoint.name,
        checkpoint.weights,
        dtype=options.dtype or "int8",
        threads=options.threads,
        max_length=options.max_length,
    )
    return loaded, tokenizer


def _load_torch(model: str, options: _Options) -> Loaded:
    try:
        from tiercel.engines.torch import TorchModel
    except ModuleNotFoundError as error:
        raise ModelUnavailable(
            f"the torch engine needs {error.name}: install tiercel[torch]"
        ) from error
    checkpoint = resolve(model)
    tokenizer = checkpoint.read_tokenizer()
    loaded = TorchModel(
        checkpoint,
        dtype=options.dtype or "fp32",
        device=options.device,
        threads=options.threads,
        max_length=options.max_length,
    )
    return loaded, tokenizer


def _load_simulated(model: str, options: _Options) -> Loaded:
    from tiercel.engines.simulated import SimulatedModel
    from tiercel.engines.simulated_tokenizer import byte_tokenizer, letter_ids

    tokenizer = byte_tokenizer()
    return SimulatedModel(model, tokenizer.vocab_size, letter_ids(tokenizer)), tokenizer


_ENGINES: dict[str, Callable[[str, _Options], Loaded]] = {
    "onnx": _load_onnx,
    "torch": _load_torch,
    "simulated": _load_simulated,
}


def load(
    engine: str,
    model: str,
    *,
    dtype: str | None = None,
    device: str = "auto",
    threads: int = 0,
    max_length: int | None = None,
) -> Loaded:
    """Load `model` on `engine` and return it with its tokenizer.

    No `dtype` is the engine's own choice (onnx: int8, torch: fp32), 0 threads one for each core,
    no `max_length` what the model can hold, up to 4096. Raises InvalidRequest for a setting that
    cannot be honoured and ModelUnavailable for a model that cannot be loaded.
    """
    if engine not in _ENGINES:
        raise InvalidRequest("engine", engine, f"must be one of {', '.join(_ENGINES)}")
    return _ENGINES[engine](model, _Options(dtype, device, threads, max_length))
