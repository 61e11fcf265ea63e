"""Answers with onnxruntime-genai, on the int4 graph that its own builder made."""

import json
from importlib.metadata import version
from typing import Any

import onnxruntime_genai

from bench.peers.workers import pipe
from bench.peers.workers.pipe import Answer, Question, Stopwatch


def load(options: dict[str, Any]) -> tuple[pipe.Ask, dict[str, Any]]:
    """Load the graph in `folder` on `threads` threads."""
    config = onnxruntime_genai.Config(options["folder"])
    session = {"intra_op_num_threads": options["threads"]}
    config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
    model = onnxruntime_genai.Model(config)

    def ask(question: Question) -> Answer:
        watch = Stopwatch()
        params = onnxruntime_genai.GeneratorParams(model)
        length = len(question.token_ids) + question.max_new_tokens
        params.set_search_options(do_sample=False, max_length=length)
        generator = onnxruntime_genai.Generator(model, params)
        generator.append_tokens(question.token_ids)
        tokens = watch.answer.token_ids
        while not generator.is_done():
            generator.generate_next_token()
            tokens.append(int(generator.get_next_tokens()[0]))
            watch.arrived(len(tokens))
        return watch.answer

    return ask, {"onnxruntime-genai": version("onnxruntime-genai")}


if __name__ == "__main__":
    pipe.serve(load)
