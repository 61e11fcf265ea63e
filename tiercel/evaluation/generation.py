"""Decodes many prompts on one tier alone, several in every pass, and keeps the evidence.

A sequence that ends makes room for the next prompt. On an engine whose bits do not depend on a
pass's other rows the answers are those of decoding one by one.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tiercel.decoding import Vocabulary, choose
from tiercel.engines.language_model import Cache, LanguageModel, Logits, Step
from tiercel.evaluation.evidence import Evidence, log_softmax
from tiercel.tokenizer import Tokenizer
from tiercel.types import FinishReason, SamplingParams

# Of a long prompt, so many tokens go into one pass.
_PREFILL_CHUNK = 256

Key = TypeVar("Key")


@dataclass(frozen=True)
class Request:
    """One answer to decode; with `choices` only the likeliest of these ids is asked for."""

    prompt_ids: tuple[int, ...]
    params: SamplingParams
    max_new_tokens: int = 1
    choices: tuple[int, ...] = ()


@dataclass(eq=False)
class Generated:
    """An answer; `seconds` is its share, by rows, of the passes that it took part in.

    `passes.TIER` counts those after the one that ended the prompt, of `prompt_tokens.TIER` tokens.
    """

    token_ids: list[int] = field(default_factory=list)
    finish: FinishReason = FinishReason.LENGTH
    evidence: Evidence = field(default_factory=Evidence)
    choice_logprobs: list[float] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)  # by `what.TIER`
    seconds: float = 0.0


class ColumnDecoder(Protocol):
    """What decodes a column's answers, whatever its plan is."""

    tokenizer: Tokenizer  # of the tier that answers
    numerics_id: str  # of all tiers that the answers depend on
    max_length: int

    def run(self, requests: Iterable[tuple[Key, Request]]) -> Iterator[tuple[Key, Generated]]:
        """Yield each request's key and answer as they end; requests are taken as there is room."""
        ...

    def close(self) -> None:
        """Give the models back."""
        ...


@dataclass(eq=False)
class _Slot(Generic[Key]):
    """One sequence being decoded."""

    key: Key
    request: Request
    cache: Cache
    done: Generated = field(default_factory=Generated)
    offset: int = 0  # in bytes of the answer

    def step(self) -> Step:
        """Return what the next pass does for this sequence."""
        if self.done.token_ids:
            return Step(self.cache, self.done.token_ids[-1:], 1)
        fed, prompt = self.cache.length, self.request.prompt_ids
        tokens = prompt[fed : fed + _PREFILL_CHUNK]
        return Step(self.cache, tokens, int(fed + len(tokens) == len(prompt)))


class BatchDecoder:
    """One tier's model and tokenizer."""

    def __init__(self, tier: str, model: LanguageModel, tokenizer: Tokenizer, batch: int) -> None:
        """Decode up to `batch` sequences in a pass; counts are under the name of the `tier`."""
        self.tokenizer = tokenizer
        self.numerics_id = model.description.numerics_id
        self.max_length = model.description.max_length
        self._tier = tier
        self._model, self._batch = model, batch
        ids = range(model.description.vocab_size)
        self._vocabulary = Vocabulary.of([tokenizer.token_bytes(id) for id in ids])

    def run(self, requests: Iterable[tuple[Key, Request]]) -> Iterator[tuple[Key, Generated]]:
        """Yield each request's key and answer as they end; requests are taken as there is room."""
        waiting, slots = iter(requests), list[_Slot[Key]]()
        try:
            while True:
                while len(slots) < self._batch and (pair := next(waiting, None)):
                    slots.append(_Slot(*pair, self._model.open()))
                if not slots:
                    return
                ended = self._pass(slots)
                slots = [slot for slot in slots if slot not in ended]
                for slot in ended:
                    self._end(slot)
                yield from ((slot.key, slot.done) for slot in ended)
        finally:
            for slot in slots:
                slot.cache.close()

    def close(self) -> None:
        """Give the model back."""
        self._model.close()

    def _end(self, slot: _Slot[Key]) -> None:
        slot.cache.close()
        slot.done.counts = {
            f"passes.{self._tier}": len(slot.done.token_ids) - 1,
            f"prompt_tokens.{self._tier}": len(slot.request.prompt_ids),
        }

    def _pass(self, slots: list[_Slot[Key]]) -> list[_Slot[Key]]:
        """Run one pass; return the sequences that ended with it."""
        began = time.perf_counter()
        steps = [slot.step() for slot in slots]
        rows = self._model.extend(steps)
        per_row = (time.perf_counter() - began) / sum(len(step.tokens) for step in steps)
        for slot, step in zip(slots, steps, strict=True):
            slot.done.seconds += per_row * len(step.tokens)
        told = zip(slots, rows, strict=True)
        return [slot for slot, logits in told if len(logits) and self._ends(slot, logits)]

    def _ends(self, slot: _Slot[Key], logits: Logits) -> bool:
        done, request = slot.done, slot.request
        token_id = self._chosen(slot, logits[0])
        done.token_ids.append(token_id)
        done.evidence.add(logits[0], token_id)
        slot.offset = self._vocabulary.advance(slot.offset, (token_id,))
        if token_id in self.tokenizer.eos_ids:
            done.finish = FinishReason.STOP_TOKEN
            return True
        return len(done.token_ids) >= request.max_new_tokens

    def _chosen(self, slot: _Slot[Key], logits: NDArray[np.float32]) -> int:
        choices = slot.request.choices
        if not choices:
            return choose(logits, slot.request.params, self._vocabulary, slot.offset)
        known = log_softmax(logits)[list(choices)]
        slot.done.choice_logprobs = known.tolist()
        return choices[int(np.argmax(known))]
