"""The systems that are compared, and how each is made ready on this machine.

All run the same SmolLM2-135M-Instruct: the file of 4-bit weights (GGUF, Q4_1) that Tiercel embeds.
llama.cpp reads it as it stands, transformers dequantizes it, and onnxruntime-genai's own builder
quantizes that anew, in blocks of 32 without offsets and with the head in 4 bits, which Tiercel and
llama.cpp keep finer: it reads fewer bytes a token than they do.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.peers.environment import Environment
from tiercel.models.embedded import DEFAULT_MODEL, EMBEDDED, embedded_file
from tiercel.models.storage import cache_folder, stored
from tiercel.plan_text import parse_plan

PROMPTS = Path(__file__).with_name("prompts.jsonl")
CONTEXT = 4096
LLAMA_CPP = ("xllamacpp==2026.10.11549",)
# An unpinned torch may bring gigabytes for GPUs.
TRANSFORMERS = ("torch==2.13.0", "transformers==5.23.0", "gguf==0.19.0", "accelerate==1.15.0")
_BUILDING = ("onnx==1.23.2", "onnx-ir==1.1.0", *TRANSFORMERS)
GENAI = ("onnxruntime-genai==0.18.0", "onnxruntime==1.31.1", *_BUILDING)
PLANS = (
    "int4", "int4 <- suffix:8",
    "fp32", "fp32 <- suffix:8", "fp32 <- int4:8", "fp32 <- int4:8 <- suffix:8",
)  # fmt: skip


@dataclass(frozen=True)
class System:
    """One row of the comparison.

    `prepare` returns the command of its worker; systems with equal `worker` share the process,
    and `options` go with each question. Systems of one `root` must give the same tokens.
    """

    name: str
    worker: str
    prepare: Callable[[Environment], list[str]]
    root: str = ""
    options: dict[str, Any] = field(default_factory=dict)


def all_systems(threads: int) -> list[System]:
    """Return every system, each on `threads` threads."""
    return [
        *(_plan(plan) for plan in PLANS),
        _loop("native", "int4", threads),
        _llama_cpp("llama.cpp", threads),
        # The window that fits short answers of a small model, and the one that is the default.
        _llama_cpp("llama.cpp n-gram 3:8", threads, size_n=3, size_m=8),
        _llama_cpp("llama.cpp n-gram 12:48", threads, size_n=12, size_m=48),
        _transformers("transformers", "plain", threads),
        _transformers("transformers assisted", "assisted", threads),
        _transformers("transformers lookup", "lookup", threads),
        System("onnxruntime-genai", "genai", lambda peers: _genai(peers, threads)),
    ]


def _plan(plan: str) -> System:
    root = parse_plan(plan).tier
    command = [sys.executable, "-m", "bench.peers.workers.services"]
    return System(f"tiercel {plan}", "services", lambda _: command, root, {"plan": plan})


def _loop(engine: str, dtype: str, threads: int) -> System:
    name = f"engine loop {dtype}"
    command = _command(sys.executable, "loop", engine=engine, dtype=dtype, threads=threads)
    return System(name, name, lambda _: command, dtype)


def _llama_cpp(name: str, threads: int, **settings: int) -> System:
    speculation = {"speculation": "ngram_simple", "settings": settings} if settings else {}

    def prepare(peers: Environment) -> list[str]:
        peers.install(LLAMA_CPP)
        options = {"gguf": str(embedded_file(DEFAULT_MODEL)), "context": CONTEXT}
        return _command(peers.python, "llama_cpp", threads=threads, **options, **speculation)

    return System(name, name, prepare)


def _transformers(name: str, mode: str, threads: int) -> System:
    def prepare(peers: Environment) -> list[str]:
        folder = str(_hugging_face_folder(peers))
        options = {"folder": folder, "mode": mode, "lookup_tokens": 8}
        return _command(peers.python, "hugging_face", threads=threads, **options)

    return System(name, name, prepare)


def _genai(peers: Environment, threads: int) -> list[str]:
    source = _hugging_face_folder(peers)
    peers.install(GENAI)

    def build(folder: Path) -> None:
        builder = ["-m", "onnxruntime_genai.models.builder", "-p", "int4", "-e", "cpu"]
        places = ["-i", str(source), "-o", str(folder), "-c", str(folder / "cache")]
        extra = ["--extra_options", "int4_accuracy_level=4", "hf_token=false"]
        peers.run(*builder, *places, *extra)

    folder = stored(_kept("genai-int4"), build)
    return _command(peers.python, "genai", folder=str(folder), threads=threads)


def _hugging_face_folder(peers: Environment) -> Path:
    peers.install(TRANSFORMERS)
    source = str(embedded_file(DEFAULT_MODEL))
    convert = "bench.peers.workers.convert"
    return stored(_kept("fp32"), lambda folder: peers.run("-m", convert, source, str(folder)))


def _kept(form: str) -> Path:
    digest = EMBEDDED[DEFAULT_MODEL].sha256[:12]
    return cache_folder() / "bench" / f"{DEFAULT_MODEL}-{digest}-{form}"


def _command(python: str, module: str, **options: Any) -> list[str]:
    return [python, "-m", f"bench.peers.workers.{module}", json.dumps(options)]
