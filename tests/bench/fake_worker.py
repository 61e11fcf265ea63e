"""A worker without a model: it answers at once, or fails in the way that its prompt asks for."""

import os
import sys
import time
from typing import Any

from bench.peers.workers import pipe
from bench.peers.workers.pipe import Answer, Question, Stopwatch


def load(options: dict[str, Any]) -> tuple[pipe.Ask, dict[str, Any]]:
    """Load nothing."""
    print(options.get("noise", ""), end="")
    if "broken" in options:
        raise OSError(options["broken"])

    def ask(question: Question) -> Answer:
        os.write(1, options.get("noise", "").encode())
        if question.text == "die":
            sys.stderr.write("out of memory\n")
            os._exit(3)
        if question.text == "hang":
            time.sleep(60)
        if question.text in ("fail", options.get("fails_at")):
            raise ValueError("no such prompt")
        watch = Stopwatch()
        for count in range(1, question.max_new_tokens + 1):
            watch.arrived(count)
        num_tokens = question.max_new_tokens + len(question.options.get("plan", ""))
        watch.answer.token_ids = list(range(num_tokens))
        return watch.answer

    return ask, {"name": "fake"}


if __name__ == "__main__":
    pipe.serve(load)
