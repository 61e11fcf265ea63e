"""Delivery with revisions: what a larger tier says otherwise takes back what was sent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.router.cascade.delivery import Part
from tiercel.replies import Committed, Revise, StageDecision
from tiercel.types import Span, TokenLogprob


@dataclass(frozen=True)
class _Token:
    token_id: int
    text: str
    logprob: TokenLogprob | None


class Revised:
    """Sends everything at once; what another plan says otherwise takes back what was sent.

    Of tokens of one vocabulary those that agree stand. Those of another are void as soon as their
    text is seen to differ, or to be complete.
    """

    can_change = True

    def __init__(self) -> None:
        self._sent: list[_Token] = []
        self._tail = ""  # that the end of the answer released
        self._words = ""  # of the tokens that were sent
        self._decision: StageDecision | None = None  # under which the present plan is compared
        self._num_equal, self._tail_is_equal = 0, False
        self._waiting: list[tuple[Committed, str]] = []  # of another vocabulary

    def take(self, committed: Committed, words: str) -> Sequence[Part]:
        """Return the tokens, unless they are known; what they overrule is taken back before."""
        if self._decision is None:
            return self._noted(committed, words)
        if self._waiting or words != self._words:
            return self._foreign(committed, words)
        return self._compared(committed, words, self._decision)

    def certain(self) -> Sequence[Part]:
        """Hold nothing back."""
        return ()

    def overruled(self, decision: StageDecision) -> None:
        """Compare what comes with what was sent."""
        self._decision = decision
        self._num_equal, self._tail_is_equal = 0, False
        self._waiting = []

    def over(self) -> Sequence[Part]:
        """Return what is taken back because the present plan never said it."""
        if self._decision is None:
            return ()
        if self._waiting:
            return self._anew(self._decision)
        has_more = self._num_equal < len(self._sent) or (self._tail and not self._tail_is_equal)
        return self._taken_back(self._num_equal, self._decision) if has_more else ()

    def _compared(
        self, committed: Committed, words: str, decision: StageDecision
    ) -> Sequence[Part]:
        for index, token in enumerate(_tokens(committed)):
            place = committed.position + index
            if place >= len(self._sent) or self._sent[place] != token:
                revised = self._taken_back(place, decision)
                return (*revised, *self._noted(_from(committed, index), words))
            self._num_equal = place + 1
        if committed.token_ids:
            return ()
        if self._num_equal == len(self._sent) and committed.text == self._tail:
            self._tail_is_equal = True
            return ()
        revised = self._taken_back(self._num_equal, decision)
        return (*revised, *self._noted(committed, words))

    def _foreign(self, committed: Committed, words: str) -> Sequence[Part]:
        self._waiting.append((committed, words))
        text = "".join(one.text for one, _ in self._waiting)
        sent = self._text(len(self._sent)) + self._tail
        if len(text) < len(sent) and sent.startswith(text):
            return ()
        assert self._decision is not None
        return self._anew(self._decision)

    def _anew(self, decision: StageDecision) -> Sequence[Part]:
        parts: list[Part] = [*self._taken_back(0, decision)]
        waiting, self._waiting = self._waiting, []
        for committed, words in waiting:
            parts += self._noted(committed, words)
        return parts

    def _taken_back(self, place: int, decision: StageDecision) -> Sequence[Part]:
        """Void all from a token on; return that, if anything of it was sent."""
        has_more = place < len(self._sent) or self._tail
        length = len(self._text(place))
        del self._sent[place:]
        self._tail, self._decision = "", None
        return (Revise(place, length, decision),) if has_more else ()

    def _noted(self, committed: Committed, words: str) -> Sequence[Part]:
        self._words = words
        self._sent += _tokens(committed)
        self._tail += "" if committed.token_ids else committed.text
        return (committed,)

    def _text(self, place: int) -> str:
        return "".join(token.text for token in self._sent[:place])


def _tokens(committed: Committed) -> list[_Token]:
    """Return the tokens with their texts; where the lengths do not say, the first has it all."""
    number, text = len(committed.token_ids), committed.text
    lengths = committed.text_lengths
    if len(lengths) != number or sum(lengths) != len(text):
        lengths = (len(text), *(0 for _ in range(number - 1)))
    logprobs = committed.logprobs or (None,) * number
    found, start = [], 0
    for token_id, length, logprob in zip(committed.token_ids, lengths, logprobs, strict=False):
        found.append(_Token(token_id, text[start : start + length], logprob))
        start += length
    return found


def _from(committed: Committed, index: int) -> Committed:
    """Return the message without its first tokens."""
    if index == 0:
        return committed
    rest = _tokens(committed)[index:]
    place = committed.position + index
    return replace(
        committed,
        position=place,
        token_ids=committed.token_ids[index:],
        text="".join(token.text for token in rest),
        text_lengths=tuple(len(token.text) for token in rest),
        spans=_spans_from(committed.spans, index),
        logprobs=committed.logprobs[index:],
        replacements=tuple(one for one in committed.replacements if one.position >= place),
    )


def _spans_from(spans: Sequence[Span], index: int) -> tuple[Span, ...]:
    found = []
    for span in spans:
        kept = min(span.num_tokens, max(0, span.num_tokens - index))
        index = max(0, index - span.num_tokens)
        if kept:
            found.append(Span(span.tier, kept))
    return tuple(found)
