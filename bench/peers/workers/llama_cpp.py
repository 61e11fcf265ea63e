"""Answers with llama.cpp's server inside this process: no network, no prompt cache."""

from typing import Any

import xllamacpp

from bench.peers.workers import pipe
from bench.peers.workers.pipe import Answer, Question, Stopwatch


def load(options: dict[str, Any]) -> tuple[pipe.Ask, dict[str, Any]]:
    """Load `gguf` on `threads` threads; `speculation` names one of its n-gram types."""
    server = xllamacpp.Server(server_params(options))

    def ask(question: Question) -> Answer:
        watch = Stopwatch()
        failures: list[str] = []

        def on_chunk(chunk: dict[str, Any]) -> None:
            if "timings" in chunk:
                watch.arrived(int(chunk["timings"]["predicted_n"]))
            elif "choices" not in chunk:
                failures.append(str(chunk))

        server.handle_completions(completion_request(question), on_chunk)
        if failures or not watch.answer.arrivals:
            raise RuntimeError(failures[0] if failures else "no token came")
        return watch.answer

    return ask, {"build": str(xllamacpp.BUILD_INFO)}


def server_params(options: dict[str, Any]) -> Any:
    """Return the parameters of a server with one slot."""
    params = xllamacpp.CommonParams()
    params.model.path = options["gguf"]
    params.n_ctx = options["context"]
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options["threads"]
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.verbosity = -1
    if name := options.get("speculation"):
        kind = f"COMMON_SPECULATIVE_TYPE_{name.upper()}"
        params.speculative.types = [getattr(xllamacpp.common_speculative_type, kind)]
        for key, value in options.get("settings", {}).items():
            setattr(getattr(params.speculative, name), key, value)
    return params


def completion_request(question: Question) -> dict[str, Any]:
    """Return the body of a request that streams a greedy answer with its timings."""
    return {
        "prompt": question.token_ids,
        "n_predict": question.max_new_tokens,
        "temperature": 0,
        "top_k": 1,
        "samplers": ["top_k"],
        "stream": True,
        "timings_per_token": True,
        "cache_prompt": False,
    }


if __name__ == "__main__":
    pipe.serve(load)
