"""Records what a target answers to real prompts, many sequences in every pass.

A target that gives hidden states is not asked again for what it knew: the lessons are kept beside
the shards.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray

from tiercel.batch_decoding import BatchDecoder, Decoding
from tiercel.decoding import prefix_hash
from tiercel.distillation.lesson_files import (
    Thoughts,
    joined,
    lessons_file,
    thoughts,
    write_lessons,
)
from tiercel.distillation.prompts import Prompt
from tiercel.distillation.shards import Answer, Recording, RecordingManifest
from tiercel.engines.language_model import LanguageModel, Logits
from tiercel.tokenizer import Tokenizer
from tiercel.types import Message, SamplingParams

# Answers of one shard, some kilobytes: what a kill may lose.
_SHARD_ANSWERS = 64


@dataclass(frozen=True)
class Job:
    """One answer to record."""

    number: int
    prompt: Prompt
    params: SamplingParams


@dataclass(eq=False, kw_only=True)
class _Answering(Decoding):
    """A job being done."""

    job: Job
    thoughts: list[Thoughts] = field(default_factory=list)  # before each token of the answer

    def saw(self, token_id: int, logits: Logits, hidden: NDArray[np.float32] | None) -> None:
        """Keep what the target knew before the token, if it tells."""
        if hidden is not None:
            self.thoughts.append(thoughts(hidden, logits))


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
        decoder = BatchDecoder[_Answering](
            self._model, self._tokenizer, batch=batch, reads_hidden=True
        )
        answers = decoder.run(self._asked(jobs))
        try:
            while total < num_tokens and (answer := next(answers, None)):
                total += self._finish(answer)
        finally:
            answers.close()
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

    def _asked(self, jobs: Iterator[Job]) -> Iterator[_Answering]:
        max_new_tokens = self._manifest.max_new_tokens
        most = min(
            self._manifest.max_prompt_tokens, self._model.description.max_length - max_new_tokens
        )
        for job in jobs:
            ids = prompt_ids(self._tokenizer, job.prompt)
            if len(ids) <= most:
                yield _Answering(tuple(ids), job.params, max_new_tokens, job=job)

    def _finish(self, done: _Answering) -> int:
        prompt = done.job.prompt
        self._done.append(
            Answer(
                job=done.job.number,
                data_set=prompt.data_set,
                row=prompt.row,
                num_prompt_tokens=len(done.prompt_ids),
                prompt_hash=prefix_hash.of(done.prompt_ids),
                temperature=done.job.params.temperature,
                seed=done.job.params.seed,
                token_ids=tuple(done.token_ids),
            )
        )
        self._known += done.thoughts
        if len(self._done) >= _SHARD_ANSWERS:
            self._flush()
        self._progress(len(done.token_ids))
        return len(done.token_ids)

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
