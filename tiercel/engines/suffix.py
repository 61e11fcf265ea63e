"""Drafts without a model: what followed the last tokens the other times that they occurred.

After SuffixDecoding (arXiv:2411.04975), on an index of n-grams instead of a suffix tree: an entry
for each position, extended backwards when it is looked at, so that appending costs O(1) a token.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from itertools import islice

MIN_MATCH = 2  # tokens that must agree before anything is proposed
_MAX_MATCH = 16  # longer agreement says nothing more
_MAX_CANDIDATES = 32  # the most recent places looked at, in each source

_Place = tuple[Sequence[int], int]  # a text, and where in it the matching n-gram ends


class SuffixPool:
    """Recent texts that sessions share, or that one session was given; the oldest go first.

    For one thread, as all of an event loop.
    """

    def __init__(self, max_tokens: int = 200_000) -> None:
        """Hold texts of up to `max_tokens` tokens together."""
        self._max_tokens = max_tokens
        self._num_tokens = 0
        self._texts: deque[tuple[int, ...]] = deque()
        self._places: defaultdict[tuple[int, ...], deque[_Place]] = defaultdict(deque)

    def __len__(self) -> int:
        """Return the number of tokens held."""
        return self._num_tokens

    def add(self, tokens: Sequence[int]) -> None:
        """Add a text; of one longer than the pool only the last tokens."""
        text = tuple(tokens[-self._max_tokens :])
        while self._num_tokens + len(text) > self._max_tokens:
            self._drop_oldest()
        self._texts.append(text)
        self._num_tokens += len(text)
        for end in range(MIN_MATCH, len(text)):
            self._places[text[end - MIN_MATCH : end]].append((text, end))

    def places(self, ngram: tuple[int, ...]) -> Iterator[_Place]:
        """Yield where `ngram` occurs with something behind it, the most recent place first."""
        return reversed(self._places.get(ngram, ()))

    def _drop_oldest(self) -> None:
        text = self._texts.popleft()
        self._num_tokens -= len(text)
        for end in range(MIN_MATCH, len(text)):
            ngram = text[end - MIN_MATCH : end]
            self._places[ngram].popleft()  # its oldest entry is of the oldest text
            if not self._places[ngram]:
                del self._places[ngram]


class SuffixIndex:
    """The tokens of one session, and what may follow them."""

    def __init__(self, *pools: SuffixPool) -> None:
        """Draft from the session itself and from `pools`, the ones named first preferred."""
        self._pools = pools
        self._tokens: list[int] = []
        self._ends: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)

    def __len__(self) -> int:
        """Return the number of tokens in the session."""
        return len(self._tokens)

    def append(self, tokens: Sequence[int]) -> None:
        """Add tokens behind the session's last."""
        for token in tokens:
            self._tokens.append(token)
            end = len(self._tokens)
            if end >= MIN_MATCH:
                self._ends[tuple(self._tokens[end - MIN_MATCH :])].append(end)

    def truncate(self, length: int) -> None:
        """Forget every token from position `length` on."""
        if not 0 <= length <= len(self._tokens):
            raise ValueError(f"cannot truncate {len(self._tokens)} tokens to {length}")
        while len(self._tokens) > length:
            if len(self._tokens) >= MIN_MATCH:
                self._ends[tuple(self._tokens[-MIN_MATCH:])].pop()
            self._tokens.pop()

    def propose(self, max_tokens: int, min_confidence: float) -> list[int]:
        """Return up to `max_tokens` tokens that are likely to follow.

        At each step every place that agrees so far votes for what followed there, with half the
        weight for each token that its agreement is shorter than the longest; ties go to the most
        recent. One match of n tokens counts as n parts of evidence against one of doubt, so a
        step's share is votes / (all votes + 1 / n), and the draft ends when the product of the
        shares falls below `min_confidence`.
        """
        draft: list[int] = []
        candidates = self._candidates()
        confidence, longest = 1.0, max((length for _, _, length in candidates), default=0)
        while candidates and len(draft) < max_tokens:
            votes = self._votes(candidates, draft, longest)
            if not votes:
                break
            best = max(votes, key=votes.__getitem__)  # the first of equals: the most recent
            doubt = 1 / (longest + len(draft))
            confidence *= votes[best] / (sum(votes.values()) + doubt)
            if confidence < min_confidence:
                break
            at = len(draft)
            candidates = [
                candidate for candidate in candidates if self._next(candidate, at, draft) == best
            ]
            draft.append(best)
        return draft

    def _candidates(self) -> list[tuple[Sequence[int], int, int]]:
        """Return places whose last tokens are the session's: text, end, length of agreement."""
        if len(self._tokens) < MIN_MATCH:
            return []
        ngram = tuple(self._tokens[-MIN_MATCH:])
        own = ((self._tokens, end) for end in reversed(self._ends[ngram][:-1]))
        sources = [own, *(pool.places(ngram) for pool in self._pools)]
        return [
            (text, end, self._agreement(text, end))
            for source in sources
            for text, end in islice(source, _MAX_CANDIDATES)
        ]

    def _agreement(self, text: Sequence[int], end: int) -> int:
        """Return how many tokens before `end` are those before the session's end."""
        tokens, length = self._tokens, MIN_MATCH
        most = min(_MAX_MATCH, end, len(tokens))
        while length < most and text[end - length - 1] == tokens[-length - 1]:
            length += 1
        return length

    def _votes(
        self, candidates: list[tuple[Sequence[int], int, int]], draft: list[int], longest: int
    ) -> dict[int, float]:
        """Return the weight of each next token, in the order of the candidates."""
        votes: dict[int, float] = {}
        for candidate in candidates:
            token = self._next(candidate, len(draft), draft)
            if token is not None:
                votes[token] = votes.get(token, 0.0) + 0.5 ** (longest - candidate[2])
        return votes

    def _next(
        self, candidate: tuple[Sequence[int], int, int], step: int, draft: list[int]
    ) -> int | None:
        """Return what stands `step` tokens behind a place; the session goes on into the draft."""
        text, end, _ = candidate
        index = end + step
        if index < len(text):
            return text[index]
        return draft[index - len(text)] if text is self._tokens else None
