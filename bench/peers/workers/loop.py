"""Answers with Tiercel's engine in a loop in this process: plain decoding without services."""

from typing import Any

from bench.peers.workers import pipe
from bench.peers.workers.pipe import Answer, Question, Stopwatch
from tiercel import engines
from tiercel.decoding import Vocabulary, choose
from tiercel.engines.language_model import Step
from tiercel.types import SamplingParams


def load(options: dict[str, Any]) -> tuple[pipe.Ask, dict[str, Any]]:
    """Load SmolLM2 in `dtype`."""
    model, tokenizer = engines.load(
        options["engine"],
        "smollm2-135m",
        dtype=options["dtype"],
        threads=options["threads"],
    )
    size = model.description.vocab_size
    vocabulary = Vocabulary.of([tokenizer.token_bytes(id) for id in range(size)])

    def ask(question: Question) -> Answer:
        watch = Stopwatch()
        cache, fed = model.open(), list(question.token_ids)
        tokens = watch.answer.token_ids
        while len(tokens) < question.max_new_tokens:
            [logits] = model.extend([Step(cache, fed, 1)])
            fed = [choose(logits[0], SamplingParams(), vocabulary, 0)]
            tokens += fed
            watch.arrived(len(tokens))
            if fed[0] in question.eos_ids:
                break
        cache.close()
        return watch.answer

    return ask, {"numerics_id": model.description.numerics_id}


if __name__ == "__main__":
    pipe.serve(load)
