"""One sequence being decoded by one model: forward passes, verdicts, roll-back."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from tiercel.decoding import RULES, Vocabulary, logprobs
from tiercel.draft_stream import TokenSequence
from tiercel.engines.language_model import LanguageModel, Logits, Step
from tiercel.speculation.runner import ModelRunner
from tiercel.types import Rule, SamplingParams, TierStats, TokenLogprob

T = TypeVar("T")

# A long prompt goes through the model in chunks of so many tokens, so that other sessions get a
# turn in between. Chunks do not change the result: see the width rule of the engines.
PREFILL_CHUNK = 256


@dataclass(frozen=True)
class Terms:
    """What a session is to decode and how; the same at every level of a chain."""

    num_prompt_tokens: int
    params: SamplingParams
    rule: Rule = Rule.EXACT


@dataclass(frozen=True)
class Verified:
    """What a pass added to the sequence: the accepted draft tokens and the one that follows."""

    token_ids: tuple[int, ...]
    num_accepted: int
    logprobs: tuple[TokenLogprob, ...]
    compute_s: float


@dataclass(frozen=True)
class _Job:
    """One pass: feed `tokens` at position `start`, judge the draft at their end."""

    start: int
    tokens: Sequence[int]
    draft: tuple[int, ...]
    offset: int  # of the draft's first token, in bytes of generated text
    num_top_logprobs: int | None


class Session:
    """Holds a sequence, its cache, and how its tokens are chosen.

    The sequence may be changed from outside (`cut`, `append`) while a pass runs; that pass then
    comes to nothing.
    """

    def __init__(
        self, runner: ModelRunner, vocabulary: Vocabulary, prefix: TokenSequence, terms: Terms
    ) -> None:
        self.sequence = prefix
        self.generation = 0  # grows with every change from outside
        self._runner, self._vocabulary, self._terms = runner, vocabulary, terms
        self._cache = runner.open()
        self._fed_length = 0  # tokens at the start of the cache that are the sequence's
        self._floor = 0  # what _fed_length may be after the pass that runs
        self._offsets = [0]  # byte offset of the generated text at each generated position
        self._note_offsets(prefix.tokens(terms.num_prompt_tokens))
        self._num_passes, self._prefill_s, self._compute_s = 0, 0.0, 0.0

    @property
    def room(self) -> int:
        """How many more tokens the model's context takes."""
        return self._runner.description.max_length - len(self.sequence)

    def cut(self, length: int) -> None:
        """Drop every token from position `length` on."""
        self.sequence.cut(length)
        del self._offsets[max(1, length - self._terms.num_prompt_tokens + 1) :]
        self._fed_length = min(self._fed_length, length)
        self._floor = min(self._floor, length)
        self.generation += 1

    def append(self, token_ids: Sequence[int]) -> None:
        """Add tokens that were decided elsewhere."""
        self.sequence.append(token_ids)
        self._note_offsets(token_ids)
        self.generation += 1

    async def verify(
        self, draft: Sequence[int], num_top_logprobs: int | None = None
    ) -> Verified | None:
        """Run the draft through the model and commit what the rule lets stand, and one token more.

        An empty draft is plain decoding. `num_top_logprobs` None gives no log-probabilities.
        Returns None if the sequence was changed meanwhile. Raises ModelFault, and InvalidRequest
        if the model's context is full.
        """
        generation = self.generation
        await self._prefill()
        if generation != self.generation:
            return None
        length = len(self.sequence)
        # The last token goes in again if the cache holds it: its logits are what is asked for.
        start = min(self._fed_length, length - 1)
        tokens = self.sequence.tokens(start) + list(draft)
        job = _Job(start, tokens, tuple(draft), self._offsets[-1], num_top_logprobs)
        verified = await self._pass(partial(self._judge, job), length)
        self._num_passes += 1
        self._note_time(verified.compute_s, is_prefill=start < self._terms.num_prompt_tokens - 1)
        if generation != self.generation:
            return None
        self._fed_length = length + verified.num_accepted
        self.sequence.append(verified.token_ids)
        self._note_offsets(verified.token_ids)
        return verified

    def stats(self, tier: str) -> TierStats:
        """Return what the model did for this session so far."""
        return TierStats(
            tier=tier,
            num_forward_passes=self._num_passes,
            num_prompt_tokens=self._terms.num_prompt_tokens,
            prefill_s=self._prefill_s,
            compute_s=self._compute_s,
        )

    def close(self) -> None:
        """Give the cache back; a pass that still runs ends first."""
        self._runner.release(self._cache)

    async def _prefill(self) -> None:
        """Feed all but the last chunk of what the cache does not hold yet."""
        while len(self.sequence) - self._fed_length > PREFILL_CHUNK:
            start = self._fed_length
            tokens = self.sequence.tokens(start, start + PREFILL_CHUNK)
            began = time.perf_counter()
            await self._pass(partial(self._feed, start, tokens), start + PREFILL_CHUNK)
            self._note_time(time.perf_counter() - began, is_prefill=True)

    async def _pass(self, work: Callable[[LanguageModel], T], length: int) -> T:
        self._floor = length
        result = await self._runner.run(work)
        self._fed_length = self._floor
        return result

    def _feed(self, start: int, tokens: Sequence[int], model: LanguageModel) -> None:
        self._extend(model, start, tokens, 1)

    def _judge(self, job: "_Job", model: LanguageModel) -> Verified:
        began = time.perf_counter()
        draft, terms = job.draft, self._terms
        logits = self._extend(model, job.start, job.tokens, len(draft) + 1)
        verdict = RULES[terms.rule](draft, logits, terms.params, self._vocabulary, job.offset)
        token_ids = (*draft[: verdict.num_accepted], verdict.next_token)
        return Verified(
            token_ids=token_ids,
            num_accepted=verdict.num_accepted,
            logprobs=_logprobs(logits, token_ids, job.num_top_logprobs),
            compute_s=time.perf_counter() - began,
        )

    def _extend(
        self, model: LanguageModel, start: int, tokens: Sequence[int], num_logits: int
    ) -> Logits:
        self._cache.truncate(start)
        [logits] = model.extend([Step(self._cache, tokens, num_logits)])
        return logits

    def _note_offsets(self, token_ids: Iterable[int]) -> None:
        for token_id in token_ids:
            self._offsets.append(self._vocabulary.advance(self._offsets[-1], (token_id,)))

    def _note_time(self, seconds: float, *, is_prefill: bool) -> None:
        if is_prefill:
            self._prefill_s += seconds
        else:
            self._compute_s += seconds


def _logprobs(
    logits: Logits, token_ids: Sequence[int], num_top: int | None
) -> tuple[TokenLogprob, ...]:
    if num_top is None:
        return ()
    rows = zip(logits, token_ids, strict=False)
    return tuple(logprobs(row, token_id, num_top) for row, token_id in rows)
