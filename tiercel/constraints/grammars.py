"""Compiles constraints for one tokenizer, each once, in a thread of its own."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from numpy.typing import NDArray

from tiercel.constraints.token_mask import TokenMask, reason
from tiercel.errors import InvalidRequest
from tiercel.tokenizer import Tokenizer
from tiercel.types import Constraint, ConstraintForm

# Compiled grammars that are kept, the least recently used going first.
_MAX_KEPT = 32
# A grammar that needs more is refused, when it is compiled or in mid-answer. In llguidance's own
# units: a millisecond of compiling is about 50,000 of fuel, a state takes 1 to 2 kB.
_LIMITS = LLParserLimits(max_lexer_states=50_000)
# Between the parts of JSON: it may stand on one line or indented, but not with endless spaces.
_WHITESPACE = r"\n? {0,16}"


class _Words:
    """A tokenizer as llguidance asks for it (the attributes of its TokenizerWrapper)."""

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id = min(tokenizer.eos_ids)
        self.tokens = [tokenizer.token_bytes(token_id) for token_id in range(vocab_size)]
        self.special_token_ids = [id for id in range(vocab_size) if tokenizer.is_special(id)]

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer.encode(text)


@dataclass(frozen=True)
class _Prepared:
    """What all grammars of a tokenizer share; making it holds up all threads for a moment."""

    tokenizer: LLTokenizer
    is_end: NDArray[np.bool_]  # [vocab_size]: tokens that end an answer
    is_text: NDArray[np.bool_]  # those that give text

    @classmethod
    def of(cls, tokenizer: Tokenizer, vocab_size: int) -> "_Prepared":
        ends, ids = sorted(tokenizer.eos_ids), range(vocab_size)
        words: Any = _Words(tokenizer, vocab_size)
        is_end = np.isin(ids, ends)
        is_text = ~is_end & ~np.array([tokenizer.is_special(token_id) for token_id in ids])
        return cls(LLTokenizer(words, n_vocab=vocab_size, eos_token=ends), is_end, is_text)

    def mask(self, constraint: Constraint, matcher: LLMatcher) -> TokenMask:
        return TokenMask(constraint, matcher, self.is_end, self.is_text)


class Grammars:
    """The masks of a tier with a model; nothing is prepared before the first one is asked for."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        """Mask logits of `vocab_size` tokens, of which the tokenizer may know fewer."""
        self._tokenizer, self._vocab_size = tokenizer, vocab_size
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="grammars")
        self._words: _Prepared | None = None
        self._compiled: OrderedDict[Constraint, LLMatcher] = OrderedDict()

    async def mask(self, constraint: Constraint | None) -> TokenMask | None:
        """Return a new mask at the grammar's beginning; None masks nothing.

        Raises InvalidRequest for a bad grammar.
        """
        if constraint is None:
            return None
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._mask, constraint)

    async def check(self, constraint: Constraint | None, committed: Sequence[int]) -> None:
        """Raise InvalidRequest for a bad grammar, or one that no answer meets that begins so."""
        mask = await self.mask(constraint)
        if mask is not None and not mask.follows(committed):
            why = "the constraint lets no answer begin so"
            raise InvalidRequest("committed_token_ids", len(committed), why)

    async def followed(self, constraint: Constraint | None) -> Constraint | None:
        """Return the constraint if its grammar is good here, None if not."""
        try:
            await self.mask(constraint)
        except InvalidRequest:
            return None
        return constraint

    def close(self) -> None:
        """End the thread after what it compiles now."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _mask(self, constraint: Constraint) -> TokenMask:
        if constraint not in self._compiled:
            self._compiled[constraint] = self._compile(constraint)
        self._compiled.move_to_end(constraint)
        if len(self._compiled) > _MAX_KEPT:
            self._compiled.popitem(last=False)
        matcher = self._compiled[constraint].deep_copy()
        assert self._words is not None, "what is compiled was compiled with words"
        return self._words.mask(constraint, matcher)

    def _compile(self, constraint: Constraint) -> LLMatcher:
        if not self._tokenizer.eos_ids:
            raise _refusal(constraint, "the model has no token that ends an answer")
        if self._words is None:
            self._words = _Prepared.of(self._tokenizer, self._vocab_size)
        try:
            grammar = _grammar(constraint)
        except ValueError as error:
            raise _refusal(constraint, reason(str(error))) from None
        matcher = LLMatcher(self._words.tokenizer, grammar, log_level=0, limits=_LIMITS)
        if matcher.is_error():
            raise _refusal(constraint, reason(matcher.get_error()))
        # The first mask finds a grammar under which nothing can be said.
        self._words.mask(constraint, matcher.deep_copy()).check_begins()
        return matcher


def _grammar(constraint: Constraint) -> str:
    if constraint.form is ConstraintForm.JSON_SCHEMA:
        text = constraint.text
        return LLMatcher.grammar_from_json_schema(text, {"whitespace_pattern": _WHITESPACE})
    if constraint.form is ConstraintForm.REGEX:
        return LLMatcher.grammar_from_regex(constraint.text)
    return LLMatcher.grammar_from_lark(constraint.text)


def _refusal(constraint: Constraint, why: str) -> InvalidRequest:
    return InvalidRequest(f"constraint.{constraint.form.value}", constraint.text, why)
