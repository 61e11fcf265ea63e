"""Answers waves with llama.cpp's server inside this process: continuous batching over slots."""

from collections.abc import Callable
from typing import Any

import xllamacpp

from bench.concurrency import wave
from bench.peers.workers.llama_cpp import completion_request, server_params
from bench.peers.workers.pipe import Question


def load(options: dict[str, Any]) -> tuple[wave.Ask, dict[str, Any]]:
    """Load `gguf` with `slots` slots of `context` tokens each."""
    params = server_params({**options, "context": options["context"] * options["slots"]})
    params.n_parallel = options["slots"]
    server = xllamacpp.Server(params)

    def ask(question: Question, arrived: Callable[[int], None]) -> None:
        failures: list[str] = []

        def on_chunk(chunk: dict[str, Any]) -> None:
            if "timings" in chunk:
                arrived(int(chunk["timings"]["predicted_n"]))
            elif "choices" not in chunk:
                failures.append(str(chunk))

        server.handle_completions({**completion_request(question), "ignore_eos": True}, on_chunk)
        if failures:
            raise RuntimeError(failures[0])

    return ask, {"build": str(xllamacpp.BUILD_INFO)}


if __name__ == "__main__":
    wave.serve(load)
