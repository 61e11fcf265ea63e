"""Drafts without a model: what followed the last tokens the other times that they occurred.

After SuffixDecoding (arXiv:2411.04975), but on no suffix tree: an index of bigrams, the most
recent places of which are extended backwards when they are looked at. So memory is bounded, a few
ints a token with the oldest overwritten, and rolling back is popping; both are hard for a tree.
"""

import sys
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice

from tiercel.engines.guesses import Guess

MIN_MATCH = 2  # tokens that must agree before anything is proposed
_MAX_MATCH = 16  # longer agreement says nothing more
_MAX_CANDIDATES = 32  # the most recent places looked at, in each source
_ENOUGH = 4  # places that agree in so many tokens: others are not looked for
# An agreement of n tokens is n parts of evidence against so many of doubt. Fitted: at all lengths
# and shares of the votes, so many guesses in a hundred were right as the confidence says.
_DOUBT = 1.25
_NOTHING = -1  # no token, or no place


class _History:
    """Tokens in order, the oldest overwritten, and the places where each bigram occurs in them.

    A place is the position of the token behind a bigram. Kept are the last place of each bigram,
    and at each place the one before it of the same bigram, as compressors do (LZ77).
    """

    def __init__(self, max_tokens: int = sys.maxsize) -> None:
        """Hold up to `max_tokens` tokens, at least three."""
        self._max_tokens = max_tokens
        self._oldest = 0  # the positions held are those from here to the length
        self._length = 0
        self._tokens = array("q")  # of position n at n modulo max_tokens, as the next
        self._earlier = array("q")
        self._latest: dict[int, int] = {}

    def __len__(self) -> int:
        """Return the position of the next token; overwritten ones count."""
        return self._length

    def __getitem__(self, position: int) -> int:
        """Return the token at a position, _NOTHING for a position that is not held."""
        if self._oldest <= position < self._length:
            return self._tokens[position % self._max_tokens]
        return _NOTHING

    def bigram(self, end: int) -> int:
        """Return the two tokens before position `end` as one int, _NOTHING if there are none."""
        first, second = self[end - 2], self[end - 1]
        return _NOTHING if _NOTHING in (first, second) else first << 32 | second

    def places(self, bigram: int) -> Iterator[int]:
        """Yield where `bigram` occurs with a token behind it, the most recent place first."""
        place = self._latest.get(bigram, _NOTHING)
        while place - MIN_MATCH >= self._oldest:
            yield place
            place = self._earlier[place % self._max_tokens]

    def append(self, token: int) -> None:
        """Add a token, or _NOTHING behind a text, so that no match goes across."""
        place, bigram = self._length, self.bigram(self._length)
        earlier = _NOTHING
        if _NOTHING not in (bigram, token):
            earlier = self._latest.get(bigram, _NOTHING)
            self._latest[bigram] = place
        if len(self._tokens) < self._max_tokens:
            self._tokens.append(token)
            self._earlier.append(earlier)
        else:
            self._forget_oldest()
            self._tokens[place % self._max_tokens] = token
            self._earlier[place % self._max_tokens] = earlier
        self._length += 1

    def pop(self) -> None:
        """Take the last token back; only while none has been overwritten."""
        bigram, earlier = self.bigram(self._length - 1), self._earlier.pop()
        if earlier != _NOTHING:
            self._latest[bigram] = earlier
        else:
            self._latest.pop(bigram, None)
        self._tokens.pop()
        self._length -= 1

    def _forget_oldest(self) -> None:
        place = self._oldest + MIN_MATCH
        bigram = self.bigram(place)
        if self._latest.get(bigram) == place:
            del self._latest[bigram]
        self._oldest += 1


class SuffixPool:
    """Recent texts that sessions share, or that one session was given; the oldest tokens go first.

    For one thread, as all of an event loop.
    """

    def __init__(self, max_tokens: int = 200_000) -> None:
        """Hold up to `max_tokens` tokens, the ends of texts counted."""
        self._max_tokens = max_tokens
        self.history = _History(max_tokens)

    def add(self, tokens: Sequence[int]) -> None:
        """Add a text; of one longer than the pool only the last tokens."""
        text = tokens[max(0, len(tokens) - self._max_tokens) :]
        if len(text) <= MIN_MATCH:  # nothing follows a match in it
            return
        for token in (*text, _NOTHING):
            self.history.append(token)


class SuffixIndex:
    """The tokens of one session, and what may follow them."""

    name = "suffix"

    def __init__(self, *pools: SuffixPool, looks_back: bool = True) -> None:
        """Draft from `pools`, the ones named first preferred, and before them from the session.

        The session is left out unless it `looks_back`.
        """
        self._own = _History()
        own = (self._own,) if looks_back else ()
        self._sources = (*own, *(pool.history for pool in pools))

    def __len__(self) -> int:
        """Return the number of tokens in the session."""
        return len(self._own)

    def append(self, tokens: Sequence[int]) -> None:
        """Add tokens behind the session's last."""
        for token in tokens:
            self._own.append(token)

    def truncate(self, length: int) -> None:
        """Forget every token from position `length` on."""
        if not 0 <= length <= len(self):
            raise ValueError(f"cannot truncate {len(self)} tokens to {length}")
        while len(self) > length:
            self._own.pop()

    def guess(self) -> Guess | None:
        """Return what is likeliest to follow, None if the last tokens occur nowhere else.

        Every place that agrees votes for what followed there, with half the weight for each token
        that its agreement is shorter than the longest; ties go to the most recent.
        """
        votes: dict[int, float] = {}
        places = list(self._places())
        longest = max((length for _, length in places), default=0)
        for token, length in places:
            votes[token] = votes.get(token, 0.0) + 0.5 ** (longest - length)
        if not votes:
            return None
        best = max(votes, key=votes.__getitem__)  # the first of equals: the most recent
        share = votes[best] / sum(votes.values())
        return Guess(best, share * longest / (longest + _DOUBT))

    def _places(self) -> Iterator[tuple[int, int]]:
        """Yield what followed where the session's last tokens stand, and how many agree there."""
        bigram, num_long = self._own.bigram(len(self)), 0
        for source in self._sources:
            for place in islice(source.places(bigram), _MAX_CANDIDATES):
                length = self._agreement(source, place)
                yield source[place], length
                num_long += length == _MAX_MATCH
                if num_long == _ENOUGH:
                    return

    def _agreement(self, source: _History, place: int) -> int:
        """Return how many tokens before `place` are those before the session's end."""
        own, end, length = self._own, len(self), MIN_MATCH
        most = min(_MAX_MATCH, end)
        while length < most and source[place - length - 1] == own[end - length - 1]:
            length += 1
        return length
