"""Engines: ways to run a language model. Each is loaded lazily, by name, through `load`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tiercel.engines.language_model import LanguageModel
from tiercel.errors import InvalidRequest, ModelUnavailable
from tiercel.models.resolve import resolve
from tiercel.tokenizer import Tokenizer

if TYPE_CHECKING:
    from tiercel.engines.native import NativeModel
    from tiercel.engines.onnx import OnnxModel

Loaded = tuple[LanguageModel, Tokenizer]


@dataclass(frozen=True)
class _Options:
    """What `load` was asked for beside the model."""

    dtype: str | None
    device: str
    threads: int
    max_length: int | None
    cache_tokens: int | None
    tensor_parallel: int


def _load_onnx(model: str, options: _Options) -> Loaded:
    from tiercel.engines.onnx import OnnxModel

    return _load_on_cpu("onnx", OnnxModel, model, options, dtype="int8")


def _load_native(model: str, options: _Options) -> Loaded:
    from tiercel.engines.native import NativeModel

    return _load_on_cpu("native", NativeModel, model, options, dtype="int4")


def _load_on_cpu(
    engine: str,
    kind: "type[OnnxModel] | type[NativeModel]",
    model: str,
    options: _Options,
    *,
    dtype: str,
) -> Loaded:
    """Load a model of a `kind` that runs on the cpu, in `dtype` unless another is asked for."""
    if options.device not in ("auto", "cpu"):
        raise InvalidRequest("device", options.device, f"the {engine} engine runs on the cpu")
    checkpoint = resolve(model)
    tokenizer = checkpoint.read_tokenizer()
    loaded = kind(
        checkpoint.name,
        checkpoint.weights,
        dtype=options.dtype or dtype,
        threads=options.threads,
        max_length=options.max_length,
    )
    return loaded, tokenizer


def _load_torch(model: str, options: _Options) -> Loaded:
    try:
        from tiercel.engines.torch import TorchSettings, load_model
        from tiercel.engines.torch_followers import end_process
        from tiercel.engines.torch_rank import RankSettings
    except ModuleNotFoundError as error:
        raise ModelUnavailable(
            f"the torch engine needs {error.name}: install tiercel[torch]"
        ) from error
    checkpoint = resolve(model)
    tokenizer = checkpoint.read_tokenizer()
    rank = RankSettings(
        dtype=options.dtype or "",
        device=options.device,
        threads=options.threads,
        num_ranks=options.tensor_parallel,
    )
    settings = TorchSettings(rank, max_length=options.max_length, cache_tokens=options.cache_tokens)
    return load_model(checkpoint, settings, on_lost=end_process), tokenizer


def _load_simulated(model: str, options: _Options) -> Loaded:
    from tiercel.engines.simulated import SimulatedModel
    from tiercel.engines.simulated_tokenizer import byte_tokenizer, letter_ids

    tokenizer = byte_tokenizer()
    return SimulatedModel(model, tokenizer.vocab_size, letter_ids(tokenizer)), tokenizer


_ENGINES: dict[str, Callable[[str, _Options], Loaded]] = {
    "native": _load_native,
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
    cache_tokens: int | None = None,
    tensor_parallel: int = 1,
) -> Loaded:
    """Load `model` on `engine` and return it with its tokenizer.

    No `dtype` is the engine's own choice (onnx: int8, torch: bf16 on CUDA, else fp32), 0 threads
    one for each core, no `max_length` what the model can hold, up to 4096. torch alone takes
    `cache_tokens`, what the caches of all sequences hold together, and `tensor_parallel`, over how
    many devices the model is split. Raises InvalidRequest for a setting that
    cannot be honoured and ModelUnavailable for a model that cannot be loaded.
    """
    if engine not in _ENGINES:
        raise InvalidRequest("engine", engine, f"must be one of {', '.join(_ENGINES)}")
    if engine != "torch" and (cache_tokens is not None or tensor_parallel != 1):
        field = "cache_tokens" if cache_tokens is not None else "tensor_parallel"
        raise InvalidRequest(field, cache_tokens or tensor_parallel, "only the torch engine has it")
    options = _Options(dtype, device, threads, max_length, cache_tokens, tensor_parallel)
    return _ENGINES[engine](model, options)
