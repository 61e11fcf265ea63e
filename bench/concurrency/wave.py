"""A wave: questions asked all at once, and what arrived when. Standard library only."""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TextIO

from bench.peers.workers.pipe import Question, protocol_output, reason

# For each question: [number of tokens so far, seconds since the wave began] at each arrival.
Arrivals = list[tuple[int, float]]
Ask = Callable[[Question, Callable[[int], None]], None]


@dataclass(frozen=True)
class Wave:
    """What so many clients ask at the same moment, one question each."""

    questions: list[Question]


class Clock:
    """Notes arrivals of all answers of a wave, from the moment it is made."""

    def __init__(self, num_questions: int) -> None:
        self._began = time.perf_counter()
        self.arrivals: list[Arrivals] = [[] for _ in range(num_questions)]

    def arrived(self, question: int, num_tokens: int) -> None:
        """Note that an answer now has so many tokens."""
        arrivals = self.arrivals[question]
        if num_tokens > (arrivals[-1][0] if arrivals else 0):
            arrivals.append((num_tokens, time.perf_counter() - self._began))


def in_threads(ask: Ask, wave: Wave) -> list[Arrivals]:
    """Ask each question in a thread of its own."""
    count = len(wave.questions)
    clock = Clock(count)

    def one(place: int) -> None:
        ask(wave.questions[place], lambda num_tokens: clock.arrived(place, num_tokens))

    with ThreadPoolExecutor(count) as threads:
        list(threads.map(one, range(count)))
    return clock.arrivals


def serve(load: Callable[[dict[str, Any]], tuple[Ask, dict[str, Any]]]) -> None:
    """Load a system with the options in the command's last argument; answer waves until EOF."""
    lines = protocol_output()
    try:
        ask, about = load(json.loads(sys.argv[-1]))
    except Exception as error:  # whatever stops a peer is its reason in the report
        write(lines, {"failed": reason(error)})
        raise
    write(lines, {"ready": about})
    answer_waves(lambda wave: in_threads(ask, wave), lines)


def answer_waves(answer: Callable[[Wave], list[Arrivals]], lines: TextIO) -> None:
    """Answer each line of standard input, a wave, by one line."""
    for line in sys.stdin:
        wave = Wave([Question(**question) for question in json.loads(line)["questions"]])
        try:
            write(lines, {"arrivals": answer(wave)})
        except Exception as error:  # a wave that fails does not end the worker
            write(lines, {"failed": reason(error)})


def write(lines: TextIO, message: dict[str, Any]) -> None:
    """Write one message."""
    lines.write(json.dumps(message) + "\n")
    lines.flush()
