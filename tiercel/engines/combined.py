"""Drafts from several sources, token by token: whichever is surest of the next one."""

from collections.abc import Sequence
from dataclasses import dataclass

from tiercel.engines.guesses import Guess, Source

# A guess this sure is taken at once: sources further down are dearer and rarely surer.
_SURE = 0.8


@dataclass(frozen=True)
class Draft:
    """Tokens that may follow, and the name of the source of each."""

    tokens: list[int]
    sources: list[str]


class CombinedDrafter:
    """Follows one sequence; the sources named first are asked first."""

    def __init__(self, *sources: Source) -> None:
        """Draft from `sources`, all of them new or of the same sequence."""
        self._sources = sources

    def append(self, tokens: Sequence[int]) -> None:
        """Add tokens behind the sequence's last."""
        for source in self._sources:
            source.append(tokens)

    def truncate(self, length: int) -> None:
        """Forget every token from position `length` on."""
        for source in self._sources:
            source.truncate(length)

    def propose(self, max_tokens: int, min_confidence: float) -> Draft:
        """Append up to `max_tokens` tokens that are likely to follow, and return them.

        The draft ends where the chance that all of it is right falls below `min_confidence`: a
        draft token is only worth its row of the parent's pass if all before it are right.
        """
        draft, confidence = Draft([], []), 1.0
        while len(draft.tokens) < max_tokens:
            name, guess = self._surest()
            if guess is None or (confidence := confidence * guess.confidence) < min_confidence:
                break
            self.append([guess.token])
            draft.tokens.append(guess.token)
            draft.sources.append(name)
        return draft

    def _surest(self) -> tuple[str, Guess | None]:
        name, best = "", None
        for source in self._sources:
            guess = source.guess()
            if guess is not None and (best is None or guess.confidence > best.confidence):
                name, best = source.name, guess
            if best is not None and best.confidence >= _SURE:
                break
        return name, best
