"""What is asked of a column and what it says, with the evidence; a tier alone as a column."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tiercel.batch_decoding import BatchDecoder, Decoding
from tiercel.decoding import Vocabulary
from tiercel.engines.language_model import LanguageModel, Logits
from tiercel.evaluation.evidence import Evidence, log_softmax
from tiercel.tokenizer import Tokenizer
from tiercel.types import FinishReason, SamplingParams

Key = TypeVar("Key")


@dataclass(frozen=True)
class Request:
    """One answer to decode; with `choices` only the likeliest of these ids is asked for."""

    prompt_ids: tuple[int, ...]
    params: SamplingParams
    max_new_tokens: int = 1
    choices: tuple[int, ...] = ()


@dataclass(frozen=True)
class Generated:
    """An answer; `seconds` is its share, by rows, of the passes that it took part in.

    `passes.TIER` counts those after the one that ended the prompt, of `prompt_tokens.TIER` tokens.
    """

    token_ids: tuple[int, ...]
    finish: FinishReason
    evidence: Evidence
    choice_logprobs: list[float]
    counts: dict[str, int]  # by `what.TIER`
    seconds: float


class ColumnDecoder(Protocol):
    """What decodes a column's answers, whatever its plan is."""

    tokenizer: Tokenizer  # of the tier that answers
    numerics_id: str  # of all tiers that the answers depend on
    max_length: int

    def run(self, requests: Iterable[tuple[Key, Request]]) -> Iterator[tuple[Key, Generated]]:
        """Yield each request's key and answer as they end; requests are taken as there is room."""
        ...


@dataclass(eq=False, kw_only=True)
class _Answer(Decoding, Generic[Key]):
    """A request being answered."""

    key: Key
    choices: tuple[int, ...]
    keeps_evidence: bool
    evidence: Evidence = field(default_factory=Evidence)
    choice_logprobs: list[float] = field(default_factory=list)

    def next_token(self, logits: NDArray[np.float32], vocabulary: Vocabulary, offset: int) -> int:
        """Return the token that follows, or the likeliest of the choices."""
        if not self.choices:
            return super().next_token(logits, vocabulary, offset)
        known = log_softmax(logits)[list(self.choices)]
        self.choice_logprobs = known.tolist()
        return self.choices[int(np.argmax(known))]

    def saw(self, token_id: int, logits: Logits, hidden: NDArray[np.float32] | None) -> None:
        """Keep what the row says of the token."""
        if self.keeps_evidence:
            self.evidence.add(logits[0], token_id)


class TierDecoder:
    """One tier's model and tokenizer: it decodes alone. The model stays the caller's."""

    def __init__(
        self,
        tier: str,
        model: LanguageModel,
        tokenizer: Tokenizer,
        batch: int,
        *,
        keeps_evidence: bool = True,
    ) -> None:
        """Decode up to `batch` answers in a pass; counts are under the name of the `tier`.

        Evidence reads every number of a row, on one core: a GPU would wait for it.
        """
        self._keeps_evidence = keeps_evidence
        self.tokenizer = tokenizer
        self.numerics_id = model.description.numerics_id
        self.max_length = model.description.max_length
        self._tier, self._model, self._batch = tier, model, batch

    def run(self, requests: Iterable[tuple[Key, Request]]) -> Iterator[tuple[Key, Generated]]:
        """Yield each request's key and answer as they end; requests are taken as there is room."""
        asked = (
            _Answer(
                one.prompt_ids,
                one.params,
                one.max_new_tokens,
                key=key,
                choices=one.choices,
                keeps_evidence=self._keeps_evidence,
            )
            for key, one in requests
        )
        decoder = BatchDecoder[_Answer[Key]](self._model, self.tokenizer, batch=self._batch)
        for answer in decoder.run(asked):
            yield answer.key, self._generated(answer)

    def _generated(self, answer: _Answer[Key]) -> Generated:
        stopped = answer.token_ids[-1] in self.tokenizer.eos_ids
        return Generated(
            token_ids=tuple(answer.token_ids),
            finish=FinishReason.STOP_TOKEN if stopped else FinishReason.LENGTH,
            evidence=answer.evidence,
            choice_logprobs=answer.choice_logprobs,
            counts={
                f"passes.{self._tier}": len(answer.token_ids) - 1,
                f"prompt_tokens.{self._tier}": len(answer.prompt_ids),
            },
            seconds=answer.seconds,
        )
