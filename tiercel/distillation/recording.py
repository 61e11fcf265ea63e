"""Records what a target answers to real prompts, many sequences in every pass.

The sequences are slots: one that ends makes room for the next prompt, so that a pass is always
full. A target that gives hidden states is not asked again for what it knew: the lessons are kept
beside the shards.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from tiercel.decoding import Vocabulary, choose, prefix_hash
from tiercel.distillation.lesson_files import (
    Thoughts,
    joined,
    lessons_file,
    thoughts,
    write_lessons,
)
from tiercel.distillation.prompts import Prompt
from tiercel.distillation.shards import Answer, Recording, RecordingManifest
from tiercel.engines.language_model import Cache, LanguageModel, Logits, Step
from tiercel.tokenizer import Tokenizer
from tiercel.types import Message, SamplingParams

# Answers of one shard, some kilobytes: what a kill may lose.
_SHARD_ANSWERS = 64
# Of a long prompt, so many tokens go into one pass.
_PREFILL_CHUNK = 256


@dataclass(frozen=True)
class Job:
    """One answer to record."""

    number: int
    prompt: Prompt
    params: SamplingParams


@dataclass
class _Slot:
    """One sequence being recorded."""

    job: Job
    cache: Cache
    prompt_ids: list[int]
    answer_ids: list[int] = field(default_factory=list)
    offset: int = 0  # in bytes of the answer
    thoughts: list[Thoughts] = field(default_factory=list)  # before each token of the answer

    def step(self, hidden_size: int) -> Step:
        """Return what the next pass does for this sequence."""
        tokens, num_logits = self.answer_ids[-1:], 1
        if not tokens:
            fed = self.cache.length
            tokens = self.prompt_ids[fed : fed + _PREFILL_CHUNK]
            num_logits = int(fed + len(tokens) == len(self.prompt_ids))
        if not hidden_size:
            return Step(self.cache, tokens, num_logits)
        return Step(self.cache, tokens, num_logits, np.empty((num_logits, hidden_size), np.float32))


class Recorder:
    """Runs a target over prompts until enough tokens are recorded."""

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        recording: Recording,
        progress: Callable[[int], None] = lambda num_tokens: None,
    ) -> None:
        """`progress` is told of the tokens of each answer that is done."""
        self._model, self._tokenizer, self._progress = model, tokenizer, progress
        self._recording, self._manifest = recording, recording.manifest
        ids = range(model.description.vocab_size)
        self._vocabulary = Vocabulary.of([tokenizer.token_bytes(id) for id in ids])
        self._done: list[Answer] = []
        self._known: list[Thoughts] = []

    def record(
        self, prompts: Sequence[Prompt], recorded: Sequence[Answer], *, num_tokens: int, batch: int
    ) -> None:
        """Record until `num_tokens` tokens are there, those of `recorded` answers included.

        A kill loses at most a shard's answers, and the sequences that were being decoded.
        """
        total = sum(len(answer.token_ids) for answer in recorded)
        jobs = self._jobs(prompts, {answer.job for answer in recorded})
        slots: list[_Slot] = []
        try:
            while total < num_tokens:
                slots += self._opened(jobs, batch - len(slots))
                if not slots:
                    break
                finished = self._pass(slots)
                slots = [slot for slot in slots if slot not in finished]
                total += sum(self._finish(slot) for slot in finished)
        finally:
            for slot in slots:
                slot.cache.close()
            self._flush()

    def _jobs(self, prompts: Sequence[Prompt], done: set[int]) -> Iterator[Job]:
        """Yield what to record, in order: each prompt greedily and sampled, then sampled anew.

        In the first two rounds half of each data set is answered either way.
        """
        temperature = self._manifest.temperature
        for turn in count():
            if turn >= 2 and not temperature:
                return
            for index, prompt in enumerate(prompts):
                number = turn * len(prompts) + index
                is_greedy = turn < 2 and (prompt.row + turn) % 2 == 0
                params = SamplingParams(
                    temperature=0.0 if is_greedy else temperature,
                    seed=self._manifest.seed + number,
                )
                if number not in done:
                    yield Job(number, prompt, params)

    def _opened(self, jobs: Iterator[Job], room: int) -> Iterator[_Slot]:
        most = min(
            self._manifest.max_prompt_tokens,
            self._model.description.max_length - self._manifest.max_new_tokens,
        )
        while room > 0 and (job := next(jobs, None)):
            ids = prompt_ids(self._tokenizer, job.prompt)
            if len(ids) <= most:
                yield _Slot(job, self._model.open(), ids)
                room -= 1

    def _pass(self, slots: list[_Slot]) -> list[_Slot]:
        """Decode a token of every sequence that has its prompt behind it; return the ended ones."""
        steps = [slot.step(self._model.description.hidden_size) for slot in slots]
        rows = self._model.extend(steps)
        told = zip(slots, steps, rows, strict=True)
        return [
            slot for slot, step, logits in told if len(logits) and self._ends(slot, step, logits)
        ]

    def _ends(self, slot: _Slot, step: Step, logits: Logits) -> bool:
        if step.hidden is not None:
            slot.thoughts.append(thoughts(step.hidden, logits))
        token_id = choose(logits[0], slot.job.params, self._vocabulary, slot.offset)
        slot.answer_ids.append(token_id)
        slot.offset = self._vocabulary.advance(slot.offset, (token_id,))
        is_full = len(slot.answer_ids) >= self._manifest.max_new_tokens
        return is_full or token_id in self._tokenizer.eos_ids

    def _finish(self, slot: _Slot) -> int:
        slot.cache.close()
        prompt = slot.job.prompt
        self._done.append(
            Answer(
                job=slot.job.number,
                data_set=prompt.data_set,
                row=prompt.row,
                num_prompt_tokens=len(slot.prompt_ids),
                prompt_hash=prefix_hash.of(slot.prompt_ids),
                temperature=slot.job.params.temperature,
                seed=slot.job.params.seed,
                token_ids=tuple(slot.answer_ids),
            )
        )
        self._known += slot.thoughts
        if len(self._done) >= _SHARD_ANSWERS:
            self._flush()
        self._progress(len(slot.answer_ids))
        return len(slot.answer_ids)

    def _flush(self) -> None:
        if self._done:
            shard = self._recording.add(self._done)
            if self._known:
                numerics_id = self._manifest.numerics_id
                path = lessons_file(self._recording.folder, numerics_id, shard)
                write_lessons(path, joined(self._known))
            self._done, self._known = [], []


def manifest_of(
    model: LanguageModel,
    tokenizer: Tokenizer,
    *,
    data: dict[str, str],
    max_prompt_tokens: int,
    max_new_tokens: int,
    temperature: float,
    seed: int,
) -> RecordingManifest:
    """Return the manifest of a recording of `model`; `data` is the sha256 of each data set."""
    description = model.description
    return RecordingManifest(
        model=description.name,
        engine=description.engine,
        dtype=description.dtype,
        numerics_id=description.numerics_id,
        weights_digest=description.weights_digest,
        tokenizer_fingerprint=tokenizer.fingerprint,
        vocab_size=description.vocab_size,
        max_prompt_tokens=max_prompt_tokens,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        seed=seed,
        data=data,
    )


def prompt_ids(tokenizer: Tokenizer, prompt: Prompt) -> list[int]:
    """Return a prompt's ids in the model's chat template."""
    return tokenizer.render([Message("user", prompt.text)])
