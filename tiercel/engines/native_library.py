"""The compiled kernels: finds the build for this processor, and mirrors the structures of native/.

Every structure here has the fields of its namesake in native/*.h, in the same order.
"""

import ctypes
import platform
from functools import cache
from pathlib import Path

from tiercel.engines.numerics import instruction_set
from tiercel.errors import ModelUnavailable

FOLDER = Path(__file__).parent / "kernels"
MAX_ROWS = 64
MAX_GROUP = 8

# Best first: the library's name, and the processor features that it needs.
_BUILDS = {
    "x86_64": (
        ("avx512vnni", ("avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni")),
        ("avx2", ("avx2", "fma", "f16c", "bmi2")),
    ),
    "aarch64": (("neon", ("asimd",)),),
}


class Matrix(ctypes.Structure):
    """A matrix in panels."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("bits", "block", "inputs", "outputs")),
        ("column", ctypes.c_int32),
        ("panels", ctypes.c_void_p),
    )


class Layer(ctypes.Structure):
    """One layer's weights."""

    _fields_ = (
        ("qkv", Matrix * 3),
        ("gate_up", Matrix * 2),
        ("attention_out", Matrix),
        ("down", Matrix),
        ("qkv_bias", ctypes.c_void_p),
        ("attention_norm", ctypes.c_void_p),
        ("feed_forward_norm", ctypes.c_void_p),
    )


class Model(ctypes.Structure):
    """A model's shape and weights."""

    _fields_ = (
        ("num_layers", ctypes.c_int32),
        ("hidden_size", ctypes.c_int32),
        ("intermediate_size", ctypes.c_int32),
        ("num_heads", ctypes.c_int32),
        ("num_kv_heads", ctypes.c_int32),
        ("head_dim", ctypes.c_int32),
        ("max_length", ctypes.c_int32),
        ("norm_epsilon", ctypes.c_float),
        ("layers", ctypes.c_void_p),
        ("embedding", Matrix),
        ("head", Matrix),
        ("output_norm", ctypes.c_void_p),
        ("cosines", ctypes.c_void_p),
        ("sines", ctypes.c_void_p),
    )


class Entries(ctypes.Structure):
    """Keys and values."""

    _fields_ = (
        ("keys", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("capacity", ctypes.c_int64),
    )


class SequenceMemory(ctypes.Structure):
    """The keys and values of one sequence, up to `split` those of the trunk."""

    _fields_ = (("trunk", Entries), ("branch", Entries), ("split", ctypes.c_int64))


class Pass(ctypes.Structure):
    """The rows of one pass."""

    _fields_ = (
        ("num_rows", ctypes.c_int32),
        ("num_wanted", ctypes.c_int32),
        ("num_shared", ctypes.c_int32),
        ("caches", ctypes.c_void_p),
        ("sequences", ctypes.c_void_p),
        ("tokens", ctypes.c_void_p),
        ("positions", ctypes.c_void_p),
        ("wanted", ctypes.c_void_p),
        ("shared_rows", ctypes.c_void_p),
        ("shared_sequences", ctypes.c_void_p),
        ("logits", ctypes.c_void_p),
        ("hidden", ctypes.c_void_p),
    )


@cache
def kernels() -> ctypes.CDLL:
    """Return the best build for this processor; raises ModelUnavailable if there is none."""
    library = ctypes.CDLL(str(build_for(instruction_set())))
    library.decoder_open.restype = ctypes.c_void_p
    library.decoder_open.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.decoder_close.argtypes = [ctypes.c_void_p]
    library.decoder_run.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    return library


def build_for(features: str) -> Path:
    """Return the library for a processor with these features; raises ModelUnavailable."""
    present = set(features.split())
    for name, needed in _BUILDS.get(platform.machine(), ()):
        if present.issuperset(needed):
            path = FOLDER / f"libtiercel-{name}.so"
            if path.exists():
                return path
    raise ModelUnavailable(
        f"the native engine has no kernels for this {platform.machine()} processor: "
        "use the onnx engine, or install tiercel from its source here"
    )
