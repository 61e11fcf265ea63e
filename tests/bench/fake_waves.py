"""A worker for waves without a model: it answers at once, or fails as its options say."""

from collections.abc import Callable
from typing import Any

from bench.concurrency import wave
from bench.peers.workers.pipe import Question


def load(options: dict[str, Any]) -> tuple[wave.Ask, dict[str, Any]]:
    """Load nothing."""
    if "broken" in options:
        raise OSError(options["broken"])
    num_asked = 0

    def ask(question: Question, arrived: Callable[[int], None]) -> None:
        nonlocal num_asked
        num_asked += 1
        if num_asked >= options.get("fails_at", 1000):
            raise ValueError("too many")
        for count in range(1, question.max_new_tokens + 1):
            arrived(count)

    return ask, {"name": "fake"}


if __name__ == "__main__":
    wave.serve(load)
