"""Scores continuations with a tier's model, beside its sessions."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import numpy as np

from tiercel.decoding import Vocabulary, choose, logprobs
from tiercel.decoding.uncertainty import Uncertainty, uncertainty
from tiercel.engines.language_model import Logits
from tiercel.errors import DeadlineExceeded, InvalidRequest
from tiercel.scores import Choice, Continuation, ScoreAsk, ScoredContinuation, Scores
from tiercel.speculation.prompt_ids import check_fingerprint, ids_of_prompt
from tiercel.speculation.runner import ModelRunner
from tiercel.speculation.slots import Slots
from tiercel.speculation.turn import Memory, Turn
from tiercel.tokenizer import Tokenizer
from tiercel.types import SamplingParams, TokenLogprob
from tiercel.wire.draft import check_ids
from tiercel.wire.requests import TokenIds

MAX_SCORED_TOKENS = 8192
"""Tokens of all continuations of one call: with all alternatives their scores fit a message."""

# Tokens judged in one pass. Wider than what sessions ask for, so that a pass takes these as it
# takes a piece of a prompt, after those; narrow enough that nobody waits for long.
_PIECE = 48
# A tier that never decoded begins with passes over one token, which tell how long its steps take:
# who would have it draft asks for that. The first of them has the prompt in it.
_NUM_TIMED = 2


@asynccontextmanager
async def scoring(slots: Slots, deadline: float) -> AsyncIterator[None]:
    """Hold a slot of the tier for the body, until `deadline` (loop time) at the latest.

    Raises Overloaded if there is none, DeadlineExceeded.
    """
    with slots.taken():
        try:
            async with asyncio.timeout_at(deadline):
                yield
        except TimeoutError:
            raise DeadlineExceeded("the time given for the scores ran out") from None


def check_scored(continuations: Sequence[Sequence[int]], num_prompt: int, most: int) -> None:
    """Raise InvalidRequest for one without tokens, or too many; `most` are held in a sequence."""
    for index, ids in enumerate(continuations):
        if not ids:
            raise InvalidRequest(f"continuations[{index}]", "", "has no tokens")
        if num_prompt + len(ids) > most:
            why = f"with the prompt's {num_prompt} tokens more than the {most} that the tier holds"
            raise InvalidRequest(f"continuations[{index}]", len(ids), why)
    total = sum(map(len, continuations))
    if total > MAX_SCORED_TOKENS:
        why = f"at most {MAX_SCORED_TOKENS} tokens in all"
        raise InvalidRequest("continuations", total, why)


class Scorer:
    """Scores with one model; a call is to it what a session with a long prompt is."""

    def __init__(
        self, tier: str, runner: ModelRunner, tokenizer: Tokenizer, vocabulary: Vocabulary
    ) -> None:
        self._tier, self._runner = tier, runner
        self._tokenizer, self._vocabulary = tokenizer, vocabulary

    async def scores(self, ask: ScoreAsk) -> Scores:
        """Return the scores; raises InvalidRequest, TokenizerMismatch, ModelFault."""
        prompt, continuations = await asyncio.to_thread(self._ids, ask)
        forced = _Forced(self._runner, prompt)
        try:
            scored = [await self._scored(forced, ids, ask) for ids in continuations]
        finally:
            forced.close()
        return Scores(tuple(scored), self._tier, self._runner.description.numerics_id)

    def _ids(self, ask: ScoreAsk) -> tuple[list[int], list[list[int]]]:
        model = self._runner.description
        prompt = ids_of_prompt(self._tier, self._tokenizer, ask.prompt)
        check_ids("prompt.ids", prompt, model.vocab_size)
        found = [self._ids_of(place, one) for place, one in enumerate(ask.continuations)]
        check_scored(found, len(prompt), model.max_length)
        return prompt, found

    def _ids_of(self, place: int, continuation: Continuation) -> list[int]:
        if not isinstance(continuation, TokenIds):
            return self._tokenizer.encode(continuation)
        check_fingerprint(self._tier, self._tokenizer, continuation, f"continuation {place}")
        vocab_size = self._runner.description.vocab_size
        check_ids(f"continuations[{place}].ids", continuation.token_ids, vocab_size)
        return list(continuation.token_ids)

    async def _scored(self, forced: "_Forced", ids: list[int], ask: ScoreAsk) -> ScoredContinuation:
        places, offset = list[_Place](), 0
        for start, end in _pieces(len(ids), 0 if self._runner.speed.pass_s else _NUM_TIMED):
            logits = await forced.logits(ids, start, end)
            # Not in the model's thread, where the sessions' next passes wait.
            places += await asyncio.to_thread(self._places, logits, ids[start:end], ask, offset)
            offset = self._vocabulary.advance(offset, ids[start:end])
        return ScoredContinuation(
            token_ids=tuple(ids),
            choices=tuple(choice for choice, _, _ in places),
            logprobs=tuple(logprob for _, logprob, _ in places),
            entropies=tuple(doubt.entropy for _, _, doubt in places),
            margins=tuple(doubt.margin for _, _, doubt in places),
        )

    def _places(
        self, logits: Logits, ids: Sequence[int], ask: ScoreAsk, offset: int
    ) -> "list[_Place]":
        found = []
        for row, token_id in zip(logits, ids, strict=True):
            choice = chosen(row, ask.sampling, self._vocabulary, offset)
            found.append((choice, logprobs(row, token_id, ask.num_top_logprobs), uncertainty(row)))
            offset = self._vocabulary.advance(offset, (token_id,))
        return found


def _pieces(num_tokens: int, num_single: int) -> Iterator[tuple[int, int]]:
    """Yield where the pieces of a continuation begin and end, the first ones of a single token."""
    start = 0
    while start < num_tokens:
        end = min(num_tokens, start + (1 if start < num_single else _PIECE))
        yield start, end
        start = end


_Place = tuple[Choice, TokenLogprob, Uncertainty]


def chosen(
    row: "np.ndarray[tuple[int], np.dtype[np.float32]]",
    sampling: SamplingParams,
    vocabulary: Vocabulary,
    offset: int,
) -> Choice:
    """Return what decoding chooses from logits [vocab_size], with its probability there."""
    token_id = choose(row, sampling, vocabulary, offset)
    return Choice(token_id, float(np.exp(logprobs(row, token_id, 0).logprob)))


class _Forced:
    """A prompt and one continuation after the other behind it, fed as they are given."""

    def __init__(self, runner: ModelRunner, prompt: Sequence[int]) -> None:
        self._runner, self._prompt = runner, list(prompt)
        # All but the prompt's last token stays in the cache; that one is fed again.
        self._memory = Memory(num_lasting=len(prompt) - 1)
        self._has_begun = self._is_closed = False

    async def logits(self, ids: Sequence[int], start: int, end: int) -> Logits:
        """Return the logits before the tokens from `start` to `end`, those before it given.

        The pieces of a continuation are to be asked for in order. Shape [tokens, vocab_size].
        """
        known = len(self._prompt) - 1 + start if self._has_begun else 0
        tokens = [*self._prompt, *ids[: end - 1]][known:]
        self._has_begun = True
        turn = Turn(
            memory=self._memory,
            start=known,
            tokens=tokens,
            num_logits=end - start,
            judge=np.copy,  # the engine's own rows are another pass's next
            is_stale=lambda: self._is_closed,
        )
        logits = await self._runner.run(turn)
        assert logits is not None, "a turn is stale only after the end"
        return logits

    def close(self) -> None:
        """Give the cache back; of it the prompt is kept for others, not what was scored."""
        self._is_closed = True
        self._runner.release(self._memory, self._prompt)
