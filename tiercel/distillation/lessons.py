"""What a target thinks at every token of a recording: hidden states, and its best tokens.

A teacher-forced pass over the recorded tokens makes them, and they are kept on disk, a file for
each shard of the recording.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from tiercel.decoding import prefix_hash
from tiercel.distillation.lesson_files import (
    Thoughts,
    joined,
    lessons_file,
    read_lessons,
    thoughts,
    write_lessons,
)
from tiercel.distillation.prompts import Prompt
from tiercel.distillation.recording import prompt_ids
from tiercel.distillation.shards import Answer, read_manifest, read_shards
from tiercel.engines.language_model import LanguageModel, Step
from tiercel.errors import InvalidRequest
from tiercel.tokenizer import Tokenizer

# One prompt in so many is held out, with all of its answers.
_HELD_OUT = 20


@dataclass(frozen=True)
class Lesson:
    """One answer with what the target knew before each of its tokens."""

    answer: Answer
    kind: str
    thoughts: Thoughts

    @property
    def is_held_out(self) -> bool:
        """Whether the prompt is one that nothing is trained on; the same in every recording."""
        name = f"{self.answer.data_set} {self.answer.row}".encode()
        return int.from_bytes(blake2b(name, digest_size=8).digest()) % _HELD_OUT == 0


class Teacher:
    """Runs a target over what it said."""

    def __init__(
        self, model: LanguageModel, tokenizer: Tokenizer, prompts: Iterable[Prompt]
    ) -> None:
        """`prompts` are those that were recorded; raises InvalidRequest without hidden states."""
        if not model.description.hidden_size:
            engine = model.description.engine
            raise InvalidRequest("engine", engine, "gives no hidden states to learn from")
        self._model, self._tokenizer = model, tokenizer
        self._prompts = {(prompt.data_set, prompt.row): prompt for prompt in prompts}

    def lessons(
        self, recording: Path, progress: Callable[[int], None] = lambda num_tokens: None
    ) -> list[Lesson]:
        """Return the lessons of every answer; makes those that are not on disk.

        Those that were kept while recording will do, whatever build of the engine made them: a
        last bit teaches nothing. `progress` is told of the tokens of each shard. Raises
        InvalidRequest if a prompt is not what it was when its answer was recorded.
        """
        recorded_by, lessons = read_manifest(recording).numerics_id, list[Lesson]()
        for name, answers in read_shards(recording).items():
            path = lessons_file(recording, recorded_by, name)
            if not path.exists():
                path = lessons_file(recording, self._model.description.numerics_id, name)
            if not path.exists():
                write_lessons(path, joined([self._pass(answer) for answer in answers]))
            lessons += self._cut(answers, read_lessons(path))
            progress(sum(len(answer.token_ids) for answer in answers))
        return lessons

    def _pass(self, answer: Answer) -> Thoughts:
        tokens = self._prompt_ids(answer) + list(answer.token_ids[:-1])
        count = len(answer.token_ids)
        hidden = np.empty((count, self._model.description.hidden_size), np.float32)
        cache = self._model.open()
        try:
            (logits,) = self._model.extend([Step(cache, tokens, count, hidden)])
        finally:
            cache.close()
        return thoughts(hidden, logits)

    def _prompt_ids(self, answer: Answer) -> list[int]:
        place = f"{answer.data_set}:{answer.row + 1}"
        prompt = self._prompts.get((answer.data_set, answer.row))
        if prompt is None:
            raise InvalidRequest("data", place, "is not there; it was when it was recorded")
        ids = prompt_ids(self._tokenizer, prompt)
        if prefix_hash.of(ids) != answer.prompt_hash:
            raise InvalidRequest("data", place, "is another prompt than when it was recorded")
        return ids

    def _cut(self, answers: list[Answer], known: Thoughts) -> Iterator[Lesson]:
        start = 0
        for answer in answers:
            end = start + len(answer.token_ids)
            kind = self._prompts[answer.data_set, answer.row].kind
            yield Lesson(answer, kind, known.part(start, end))
            start = end
