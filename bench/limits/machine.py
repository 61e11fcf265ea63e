"""What this machine can do: bytes read from memory and operations done, each in a second.

Every figure is the best of several tries: a limit is what nothing else was in the way of.
"""

import platform
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tiercel.engines.numerics import instruction_set

_BUFFER_BYTES = 512 << 20  # far beyond any cache
_PARTS = 8  # for each thread: all end at about the same time
_ROWS, _INNER, _COLUMNS = 512, 2048, 2048
_BLOCK = 32
_TELLING = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "asimddp")


@dataclass(frozen=True)
class Machine:
    """Bandwidth in bytes a second, rates in operations a second (a multiply-add is two)."""

    threads: int
    bandwidth: float
    int8_rate: float
    fp32_rate: float


def measure(threads: int, tries: int) -> Machine:
    """Return what `threads` threads of this machine reach."""
    return Machine(
        threads=threads,
        bandwidth=_bandwidth(threads, tries),
        int8_rate=max(_rate(graph, threads, tries) for graph in (_integers(), _blocks())),
        fp32_rate=_rate(_floats(), threads, tries),
    )


def describe() -> str:
    """Return the processor's kind, as far as speed depends on it."""
    flags = [flag for flag in _TELLING if flag in instruction_set().split()]
    return " ".join([platform.machine(), *flags])


def _bandwidth(threads: int, tries: int) -> float:
    """Return how fast a reduction, which does next to no arithmetic, reads a large array."""
    parts = np.array_split(np.ones(_BUFFER_BYTES // 4, np.int32), threads * _PARTS)
    with ThreadPoolExecutor(threads) as pool:
        # NumPy gives the interpreter's lock back while it reduces.
        return _BUFFER_BYTES / _best_s(lambda: list(pool.map(np.maximum.reduce, parts)), tries)


def _rate(model: bytes, threads: int, tries: int) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    dtype = np.uint8 if "uint8" in session.get_inputs()[0].type else np.float32
    rows = np.ones((_ROWS, _INNER), dtype)
    return 2 * _ROWS * _INNER * _COLUMNS / _best_s(lambda: session.run(None, {"rows": rows}), tries)


def _best_s(work: Callable[[], object], tries: int) -> float:
    work()
    return min(_timed(work) for _ in range(tries))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _floats() -> bytes:
    matrix = np.ones((_INNER, _COLUMNS), np.float32)
    return _graph("MatMul", {"matrix": matrix}, TensorProto.FLOAT, TensorProto.FLOAT)


def _integers() -> bytes:
    matrix = np.ones((_INNER, _COLUMNS), np.int8)
    return _graph("MatMulInteger", {"matrix": matrix}, TensorProto.UINT8, TensorProto.INT32)


def _blocks() -> bytes:
    """Return the product that the engine's own quantized layers are made of."""
    count = _INNER // _BLOCK
    weights: dict[str, NDArray[Any]] = {
        "codes": np.full((_COLUMNS, count, _BLOCK), 129, np.uint8),
        "scales": np.ones((_COLUMNS, count), np.float32),
    }
    sizes = {"bits": 8, "block_size": _BLOCK, "K": _INNER, "N": _COLUMNS, "accuracy_level": 4}
    return _graph("MatMulNBits", weights, TensorProto.FLOAT, TensorProto.FLOAT, **sizes)


def _graph(
    operator: str, weights: Mapping[str, NDArray[Any]], rows: int, out: int, **attributes: Any
) -> bytes:
    domain = "com.microsoft" if attributes else ""
    node = helper.make_node(operator, ["rows", *weights], ["out"], domain=domain, **attributes)
    tensors = [
        helper.make_tensor(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape, array.tobytes(), True
        )
        for name, array in weights.items()
    ]
    inputs = [helper.make_tensor_value_info("rows", rows, [_ROWS, _INNER])]
    outputs = [helper.make_tensor_value_info("out", out, [_ROWS, _COLUMNS])]
    graph = helper.make_graph([node], "rate", inputs, outputs, tensors)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return bytes(model.SerializeToString())
