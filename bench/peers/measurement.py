"""Has every system answer every prompt in turns; only one of them works at a time."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from bench.peers.environment import Environment, PeerUnavailableError
from bench.peers.systems import System
from bench.peers.worker_process import WorkerProcess
from bench.peers.workers.pipe import Question
from tiercel.cli.bench.prompts import BenchPrompt
from tiercel.tokenizer import Tokenizer
from tiercel.types import Message

_WARM_UP_TOKENS = 8


@dataclass(frozen=True)
class Sample:
    """One answer: `arrivals` are [tokens so far, seconds since the question]."""

    system: str
    round: int
    prompt: int
    task: str
    arrivals: list[tuple[int, float]]
    token_ids: list[int] = field(default_factory=list)


@dataclass
class Outcome:
    """All answers, what each system said of itself, and why the missing ones are missing."""

    samples: list[Sample] = field(default_factory=list)
    about: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def spread(prompts: Sequence[BenchPrompt], per_task: int | None) -> list[BenchPrompt]:
    """Return the first `per_task` prompts of each kind of task, or all."""
    kinds: defaultdict[str, list[BenchPrompt]] = defaultdict(list)
    for prompt in prompts:
        kinds[prompt.task].append(prompt)
    return [prompt for kind in kinds.values() for prompt in kind[:per_task]]


def questions(
    prompts: Sequence[BenchPrompt], tokenizer: Tokenizer, max_new_tokens: int
) -> list[Question]:
    """Return the prompts as every system gets them: rendered by one template, once."""
    return [
        Question(
            text=prompt.text,
            token_ids=list(tokenizer.render([Message("user", prompt.text)])),
            eos_ids=sorted(tokenizer.eos_ids),
            max_new_tokens=max_new_tokens,
        )
        for prompt in prompts
    ]


class Measurement:
    """Asks each system in turn; one that fails once is out of the comparison, with its reason."""

    def __init__(self, systems: Sequence[System], on_note: Callable[[str], None]) -> None:
        self._systems = list(systems)
        self._on_note = on_note
        self.outcome = Outcome()

    def run(self, asked: Sequence[Question], tasks: Sequence[str], *, rounds: int) -> Outcome:
        """Return `rounds` answers of each system to each question."""
        with ExitStack() as stack:
            workers = self._start(stack)
            self._warm_up(workers, asked[0])
            for turn in range(rounds * len(asked)):
                number, index = divmod(turn, len(asked))
                self._turn(workers, turn, asked[index], (number, index, tasks[index]))
                self._on_note(f"round {number + 1}, prompt {index + 1} of {len(asked)}")
        gone = self.outcome.missing
        self.outcome.samples = [one for one in self.outcome.samples if one.system not in gone]
        return self.outcome

    def _start(self, stack: ExitStack) -> dict[str, WorkerProcess]:
        """Start the workers one after the other; loading is work, too."""
        peers, workers = Environment(), dict[str, WorkerProcess]()
        failed: dict[str, str] = {}
        for system in self._systems:
            key = system.worker
            if key not in workers and key not in failed:
                self._on_note(f"starting {key}")
                try:
                    workers[key] = stack.enter_context(WorkerProcess(system.prepare(peers)))
                except PeerUnavailableError as error:
                    failed[key] = str(error)
            if key in failed:
                self._lose(system, failed[key])
            else:
                self.outcome.about[system.name] = workers[key].about
        return workers

    def _warm_up(self, workers: dict[str, WorkerProcess], question: Question) -> None:
        short = Question(
            question.text, question.token_ids, question.eos_ids, max_new_tokens=_WARM_UP_TOKENS
        )
        for system in self._present():
            self._ask(workers, system, short)

    def _turn(
        self,
        workers: dict[str, WorkerProcess],
        turn: int,
        question: Question,
        place: tuple[int, int, str],
    ) -> None:
        present = self._present()
        first = turn % max(len(present), 1)
        for system in [*present[first:], *present[:first]]:
            answer = self._ask(workers, system, question)
            if answer is not None:
                arrivals = [(int(count), float(at)) for count, at in answer["arrivals"]]
                sample = Sample(system.name, *place, arrivals, answer["token_ids"])
                self.outcome.samples.append(sample)

    def _ask(
        self, workers: dict[str, WorkerProcess], system: System, question: Question
    ) -> dict[str, Any] | None:
        asked = Question(**{**vars(question), "options": system.options})
        try:
            return workers[system.worker].ask(asked)
        except PeerUnavailableError as error:
            self._lose(system, str(error))
            return None

    def _lose(self, system: System, reason: str) -> None:
        self.outcome.missing[system.name] = reason
        self._on_note(f"without {system.name}: {reason}")

    def _present(self) -> list[System]:
        return [system for system in self._systems if system.name not in self.outcome.missing]
