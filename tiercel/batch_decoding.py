"""Decodes many sequences on one model, several in every pass.

A sequence that ends makes room for the next one, so that a pass is always full. Where the
engine's bits do not depend on a pass's other rows, the tokens are those of decoding one by one.
"""

import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tiercel.decoding import Vocabulary, choose
from tiercel.engines.language_model import Cache, LanguageModel, Logits, Step
from tiercel.tokenizer import Tokenizer
from tiercel.types import SamplingParams

# Of a long prompt, so many tokens go into one pass.
_PREFILL_CHUNK = 256


@dataclass(eq=False)
class Decoding:
    """One sequence: what is asked, and what came of it so far; a subclass may look at each row."""

    prompt_ids: tuple[int, ...]
    params: SamplingParams
    max_new_tokens: int
    token_ids: list[int] = field(default_factory=list)
    seconds: float = 0.0  # its share, by rows, of the passes that it took part in

    def next_token(self, logits: NDArray[np.float32], vocabulary: Vocabulary, offset: int) -> int:
        """Return the token that follows, at byte `offset` of the answer; `logits` is one row."""
        return choose(logits, self.params, vocabulary, offset)

    def saw(self, token_id: int, logits: Logits, hidden: NDArray[np.float32] | None) -> None:
        """Look at the rows, [1, vocab_size] and [1, hidden_size], that `token_id` came from."""


Sequence = TypeVar("Sequence", bound=Decoding)


@dataclass(eq=False)
class _Slot(Generic[Sequence]):
    """A sequence and its cache."""

    sequence: Sequence
    cache: Cache
    offset: int = 0  # in bytes of the answer

    def step(self, hidden_size: int) -> Step:
        """Return what the next pass does for this sequence."""
        tokens, num_logits = self.sequence.token_ids[-1:], 1
        if not tokens:
            prompt, fed = self.sequence.prompt_ids, self.cache.length
            tokens = list(prompt[fed : fed + _PREFILL_CHUNK])
            num_logits = int(fed + len(tokens) == len(prompt))
        if not hidden_size:
            return Step(self.cache, tokens, num_logits)
        return Step(self.cache, tokens, num_logits, np.empty((num_logits, hidden_size), np.float32))


class BatchDecoder(Generic[Sequence]):
    """A model that decodes sequences; it stays the caller's."""

    def __init__(
        self, model: LanguageModel, tokenizer: Tokenizer, *, batch: int, reads_hidden: bool = False
    ) -> None:
        """Decode up to `batch` sequences in a pass; `reads_hidden` states if the model has them."""
        self._model, self._batch = model, batch
        self._hidden_size = model.description.hidden_size if reads_hidden else 0
        self._eos_ids = tokenizer.eos_ids
        ids = range(model.description.vocab_size)
        self._vocabulary = Vocabulary.of([tokenizer.token_bytes(id) for id in ids])

    def run(self, sequences: Iterable[Sequence]) -> Generator[Sequence, None, None]:
        """Yield the sequences as they end; a next one is taken whenever there is room."""
        waiting, slots = iter(sequences), list[_Slot[Sequence]]()
        try:
            while True:
                while len(slots) < self._batch and (one := next(waiting, None)):
                    slots.append(_Slot(one, self._model.open()))
                if not slots:
                    return
                ended = self._pass(slots)
                slots = [slot for slot in slots if slot not in ended]
                for slot in ended:
                    slot.cache.close()
                yield from (slot.sequence for slot in ended)
        finally:
            for slot in slots:
                slot.cache.close()

    def _pass(self, slots: list[_Slot[Sequence]]) -> list[_Slot[Sequence]]:
        """Decode a token of every sequence that has its prompt behind it; return the ended ones."""
        began = time.perf_counter()
        steps = [slot.step(self._hidden_size) for slot in slots]
        rows = self._model.extend(steps)
        per_row = (time.perf_counter() - began) / sum(len(step.tokens) for step in steps)
        for slot, step in zip(slots, steps, strict=True):
            slot.sequence.seconds += per_row * len(step.tokens)
        told = zip(slots, steps, rows, strict=True)
        return [
            slot for slot, step, logits in told if len(logits) and self._ends(slot, step, logits)
        ]

    def _ends(self, slot: _Slot[Sequence], step: Step, logits: Logits) -> bool:
        sequence = slot.sequence
        token_id = sequence.next_token(logits[0], self._vocabulary, slot.offset)
        sequence.token_ids.append(token_id)
        sequence.saw(token_id, logits, step.hidden)
        slot.offset = self._vocabulary.advance(slot.offset, (token_id,))
        is_full = len(sequence.token_ids) >= sequence.max_new_tokens
        return is_full or token_id in self._eos_ids
