"""A drafter of another tokenizer: it reads the answer as it spells it, and its choices come back.

It is told the whole answer at once, where a live one is told what was committed so far. The two
differ where the answer's end, up to a position, is spelled otherwise than as a part of the whole.
"""

from bisect import bisect_right
from itertools import accumulate
from math import prod

from tiercel.engines.language_model import LanguageModel
from tiercel.evaluation.matching.choices import Given, Matches, forced_choices
from tiercel.speculation.bridged_sequence import foreign_prompt
from tiercel.text import Bridge
from tiercel.text.translation import translate
from tiercel.tokenizer import Tokenizer

# Of the drafter's tokens, how many at most are looked at for one of the root's, and how many
# behind it: where a word ends, is seen by what follows.
_MOST, _BEHIND = 16, 2


class BridgedChooser:
    """A model with its own tokenizer, and that of the root."""

    def __init__(self, model: LanguageModel, own: Tokenizer, root: Tokenizer) -> None:
        self._model, self._own, self._root = model, own, root

    def matches(self, given: Given) -> Matches:
        """Return the matches of one teacher-forced pass through the bridge."""
        bridge = Bridge(self._root, self._own)
        bridge.append(given.answer_ids)
        prompt = foreign_prompt(self._root, self._own, given.prompt_ids, given.messages)
        picks = forced_choices(self._model, prompt, bridge.told)
        if not picks:
            return Matches.of([(False, 0.0)] * len(given.answer_ids))
        said = _Said(self._own, self._root, bridge.told, picks)
        data = [self._root.token_bytes(token_id) for token_id in given.answer_ids]
        starts = accumulate(map(len, data), initial=0)
        places = zip(starts, given.answer_ids, strict=False)
        text = b"".join(data)
        return Matches.of(said.choice(text, start, token_id) for start, token_id in places)


class _Said:
    """The drafter's tokens of an answer, and what it would have said before each."""

    def __init__(
        self, own: Tokenizer, root: Tokenizer, told: list[int], picks: list[tuple[int, float]]
    ) -> None:
        self._own, self._root, self._told, self._picks = own, root, told, picks
        self._ends = list(accumulate(len(own.token_bytes(token_id)) for token_id in told))

    def choice(self, text: bytes, start: int, token_id: int) -> tuple[bool, float]:
        """Return whether the draft from byte `start` on begins with `token_id`, and how likely."""
        first = bisect_right(self._ends, start)
        known = text[self._ends[first - 1] if first else 0 : start]
        run = self._run(first, start + len(self._root.token_bytes(token_id)))
        translated = translate(run, self._own, self._root, known=known)
        if not translated.token_ids:
            return False, 0.0
        share = translated.shares[0]
        probs = [prob for _, prob in self._picks[first + share.start : first + share.stop]]
        return translated.token_ids[0] == token_id, prod(probs)

    def _run(self, first: int, end: int) -> list[int]:
        """Return what is drafted from the told token `first` on, to a little behind byte `end`.

        Behind a choice that is not the answer's nothing is known.
        """
        run, num_behind = list[int](), 0
        for place in range(first, min(first + _MOST, len(self._picks))):
            pick = self._picks[place][0]
            run.append(pick)
            if place == len(self._told) or pick != self._told[place]:
                return run
            num_behind += self._ends[place] > end
            if num_behind > _BEHIND:
                return run
        return run
