"""Has every system answer waves of every size in turns; only one of them works at a time."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

from bench.concurrency.wave import Arrivals, Wave
from bench.peers.environment import Environment, PeerUnavailableError
from bench.peers.systems import LLAMA_CPP
from bench.peers.worker_process import WorkerProcess
from bench.peers.workers.pipe import Question
from tiercel.models.embedded import DEFAULT_MODEL, embedded_file

PEER = "llama.cpp"
OURS = (("native", "int4", "target"), ("native", "int4", "target <- suffix:8"))
_CONTEXT = 2048  # tokens of one slot


@dataclass(frozen=True)
class Sample:
    """One wave: the arrivals of each of its answers."""

    system: str
    round: int
    num_clients: int
    arrivals: list[Arrivals]


@dataclass
class Outcome:
    """All waves, and why the missing systems are missing."""

    samples: list[Sample] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


Commands = dict[str, Callable[[int], list[str]]]  # by system: its worker for so many clients


def all_commands(threads: int, most: int) -> Commands:
    """Return every system; llama.cpp is started anew for each number of clients, as its slots."""
    ours = {
        f"tiercel {engine} {plan.replace('target', dtype)}": _services(engine, dtype, plan, most)
        for engine, dtype, plan in OURS
    }
    return {**ours, PEER: lambda slots: _llama_cpp(threads, slots)}


class Measurement:
    """Asks each system in turn; one that fails once is out, with its reason."""

    def __init__(self, commands: Commands, on_note: Callable[[str], None]) -> None:
        self._commands, self._on_note = commands, on_note
        self._workers: dict[tuple[str, ...], WorkerProcess] = {}
        self.outcome = Outcome()

    def run(self, questions: Sequence[Question], sizes: Sequence[int], rounds: int) -> Outcome:
        """Return `rounds` waves of each size for each system, each with questions of its own."""
        supply = cycle(questions)
        with ExitStack() as stack:
            for size in sizes:
                for name in self._present():
                    self._wave(stack, name, Wave(list(islice(cycle(questions), size))))
            for number in range(rounds):
                for size in sizes:
                    wave = Wave(list(islice(supply, size)))
                    for name in _rotated(self._present(), number):
                        self._on_note(f"round {number + 1}, {size} clients, {name}")
                        arrivals = self._wave(stack, name, wave)
                        if arrivals is not None:
                            sample = Sample(name, number, size, arrivals)
                            self.outcome.samples.append(sample)
        return self.outcome

    def _wave(self, stack: ExitStack, name: str, wave: Wave) -> list[Arrivals] | None:
        try:
            answer = self._worker(stack, name, len(wave.questions)).ask(wave)
        except PeerUnavailableError as error:
            self.outcome.missing[name] = str(error)
            self._on_note(f"without {name}: {error}")
            return None
        return [[(int(count), float(at)) for count, at in one] for one in answer["arrivals"]]

    def _worker(self, stack: ExitStack, name: str, size: int) -> WorkerProcess:
        command = tuple(self._commands[name](size))
        if command not in self._workers:
            self._on_note(f"starting {name}")
            self._workers[command] = stack.enter_context(WorkerProcess(command))
        return self._workers[command]

    def _present(self) -> list[str]:
        return [name for name in self._commands if name not in self.outcome.missing]


def _rotated(names: list[str], turn: int) -> Iterator[str]:
    return islice(cycle(names), turn % max(1, len(names)), turn % max(1, len(names)) + len(names))


def _services(engine: str, dtype: str, plan: str, most: int) -> Callable[[int], list[str]]:
    options = {"engine": engine, "dtype": dtype, "plan": plan, "sessions": most}
    return lambda _: [sys.executable, "-m", "bench.concurrency.services", json.dumps(options)]


def _llama_cpp(threads: int, slots: int) -> list[str]:
    peers = Environment()
    peers.install(LLAMA_CPP)
    options: dict[str, Any] = {
        "gguf": str(embedded_file(DEFAULT_MODEL)),
        "context": _CONTEXT,
        "slots": slots,
        "threads": threads,
    }
    return [peers.python, "-m", "bench.concurrency.llama_cpp", json.dumps(options)]
