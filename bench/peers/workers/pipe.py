"""A worker's end of its pipes: one JSON line in, one JSON line out, standard library only.

The first line out says that the worker is ready, or why it never will be. A question that cannot
be answered is answered by its reason; the worker goes on.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TextIO


@dataclass(frozen=True)
class Question:
    """One prompt, as text and as the ids of the rendered conversation."""

    text: str
    token_ids: list[int]
    eos_ids: list[int]
    max_new_tokens: int
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Answer:
    """What arrived when: [number of tokens so far, seconds since the question] for each arrival.

    The token that ends an answer counts, as it was decoded like the others. `token_ids` stay
    empty where a system streams text alone.
    """

    arrivals: list[tuple[int, float]] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)


class Stopwatch:
    """Notes arrivals from the moment it is made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.answer = Answer()

    def arrived(self, num_tokens: int) -> None:
        """Note that there are now so many tokens."""
        arrivals = self.answer.arrivals
        if num_tokens > (arrivals[-1][0] if arrivals else 0):
            arrivals.append((num_tokens, time.perf_counter() - self._began))


Ask = Callable[[Question], Answer]
Load = Callable[[dict[str, Any]], tuple[Ask, dict[str, Any]]]


def protocol_output() -> TextIO:
    """Return standard output for the protocol alone; whatever else is printed goes to stderr."""
    lines = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    return lines


def serve(load: Load) -> None:
    """Load a system with the options in the command's last argument, and answer until EOF.

    `load` returns what answers, and facts about the system such as its version.
    """
    lines = protocol_output()
    try:
        ask, about = load(json.loads(sys.argv[-1]))
    except Exception as error:  # whatever stops a peer is its reason in the report
        _write(lines, {"failed": reason(error)})
        raise
    _write(lines, {"ready": about})
    answer_lines(ask, sys.stdin, lines)


def answer_lines(ask: Ask, questions: TextIO, lines: TextIO) -> None:
    """Answer each line of `questions` by one line."""
    for line in questions:
        try:
            answer = ask(Question(**json.loads(line)))
        except Exception as error:  # one prompt that a peer cannot answer does not end the run
            _write(lines, {"failed": reason(error)})
        else:
            _write(lines, {"arrivals": answer.arrivals, "token_ids": answer.token_ids})


def reason(error: BaseException) -> str:
    """Return an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def _write(lines: TextIO, message: dict[str, Any]) -> None:
    lines.write(json.dumps(message) + "\n")
    lines.flush()
