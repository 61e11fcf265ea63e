"""The tokens that a grammar lets follow an answer, as a mask over a model's logits."""

from collections.abc import Sequence

import numpy as np
from llguidance import LLMatcher
from numpy.typing import NDArray

from tiercel.engines.language_model import Logits
from tiercel.errors import InvalidRequest
from tiercel.types import Constraint

_DEAD_END = "no token of the model's vocabulary may follow"


class TokenMask:
    """One session's place in a grammar. For one thread at a time.

    What it says is a function of the tokens before a position and of nothing else: it goes back
    and forth in the grammar to wherever it is asked.
    """

    def __init__(
        self,
        constraint: Constraint,
        matcher: LLMatcher,
        is_end: NDArray[np.bool_],
        is_text: NDArray[np.bool_],
    ) -> None:
        """Begin where `matcher` begins; the tokens that end an answer, and those that are text."""
        self._constraint, self._matcher = constraint, matcher
        self._is_end, self._is_text = is_end, is_text
        self._taken: list[int] = []  # what the matcher has been told
        self._dead_end: tuple[int, InvalidRequest] | None = None

    def masked(self, logits: Logits, answer: Sequence[int], draft: Sequence[int]) -> Logits:
        """Return a copy of `logits` with -inf for the tokens that may not follow.

        Row i of [len(draft) + 1, vocab_size] is behind `answer` and i tokens of the draft. Rows
        behind a token that may not stand, or that ends the answer, are left as they are: nothing
        comes of them. Raises InvalidRequest if nothing at all may follow the answer, or if the
        grammar is too dear to go on with.
        """
        rows, self._dead_end = logits.copy(), None
        if self._go_to(answer):
            rows[0][~self._allowed(self._matcher)] = -np.inf
            self._mask_draft(rows, draft)
        return rows

    def check_accepted(self, num_accepted: int) -> None:
        """Raise InvalidRequest if nothing may follow so many tokens of the draft.

        Not before they are accepted: no draft can end an answer that would not go that way.
        """
        if self._dead_end is not None and num_accepted >= self._dead_end[0]:
            raise self._dead_end[1]

    def follows(self, answer: Sequence[int]) -> bool:
        """Return whether the grammar lets `answer` be said, up to the token that ends it."""
        ends = [place for place, token_id in enumerate(answer) if self._is_end[token_id]]
        if not ends:
            return self._go_to(answer)
        is_last = ends[0] == len(answer) - 1
        return is_last and self._go_to(answer[:-1]) and self._matcher.is_accepting()

    def check_begins(self) -> None:
        """Raise InvalidRequest if no token may come first."""
        self._allowed(self._matcher)

    def _mask_draft(self, rows: Logits, draft: Sequence[int]) -> None:
        """Mask the rows behind the draft's tokens."""
        # A copy, for what becomes of it on a way that the answer may not go is of no matter.
        probe = self._matcher.deep_copy()
        for place, token_id in enumerate(draft, start=1):
            try:
                if not self._consumed(probe, token_id):
                    return
                rows[place][~self._allowed(probe)] = -np.inf
            except InvalidRequest as error:
                self._dead_end = (place, error)
                return

    def _allowed(self, matcher: LLMatcher) -> NDArray[np.bool_]:
        """Return which tokens may come next, [vocab_size]; ends only once the grammar is done."""
        packed = np.frombuffer(matcher.compute_bitmask(), np.uint8)
        self._check(matcher)
        bits = np.unpackbits(packed, count=len(self._is_text), bitorder="little")
        allowed = bits.astype(np.bool_) & self._is_text
        if matcher.is_accepting():
            allowed |= self._is_end
        if not allowed.any():
            raise self._refusal(_DEAD_END)
        return allowed

    def _go_to(self, answer: Sequence[int]) -> bool:
        """Bring the matcher behind `answer`; False if the grammar does not let it be said."""
        shared = _num_common(self._taken, answer)
        if shared < len(self._taken):
            self._matcher.rollback(len(self._taken) - shared)
            del self._taken[shared:]
        for token_id in answer[shared:]:
            if not self._consumed(self._matcher, token_id):
                return False
            self._taken.append(token_id)
        return True

    def _consumed(self, matcher: LLMatcher, token_id: int) -> bool:
        """Tell the matcher a token; return whether it may stand."""
        if not (token_id < len(self._is_text) and self._is_text[token_id]):
            return False
        is_taken = matcher.try_consume_tokens([token_id]) == 1
        self._check(matcher)
        return is_taken

    def _check(self, matcher: LLMatcher) -> None:
        if matcher.is_error():
            raise self._refusal(reason(matcher.get_error()))

    def _refusal(self, why: str) -> InvalidRequest:
        constraint = self._constraint
        return InvalidRequest(f"constraint.{constraint.form.value}", constraint.text, why)


def reason(error: str) -> str:
    """Return what is wrong as one line; those that follow it show the matcher's inside."""
    if error.startswith("NoExtension"):
        return _DEAD_END
    return " ".join(error.partition("<state>")[0].split())[:500]


def _num_common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two sequences have in common at their beginning."""
    pairs = zip(one, other, strict=False)
    shortest = min(len(one), len(other))
    return next((place for place, (a, b) in enumerate(pairs) if a != b), shortest)
