"""Drafts from several sources, token by token, weighing what each of them guesses."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from tiercel.engines.guesses import Guess, Source

# A guess this sure is taken at once: sources further down are dearer, and would not change it.
_SURE = 0.95


@dataclass(frozen=True)
class Draft:
    """Tokens that may follow, the name of the source of each, and how sure that is of it."""

    tokens: list[int]
    sources: list[str]
    confidences: list[float]  # in [0, 1]


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
        draft, confidence = Draft([], [], []), 1.0
        while len(draft.tokens) < max_tokens:
            name, guess = self.guess()
            if guess is None or (confidence := confidence * guess.confidence) < min_confidence:
                break
            self.append([guess.token])
            draft.tokens.append(guess.token)
            draft.sources.append(name)
            draft.confidences.append(guess.confidence)
        return draft

    def guess(self) -> tuple[str, Guess | None]:
        """Return what is likeliest to follow, and the source that is surest of it."""
        guesses: list[tuple[str, Guess]] = []
        for source in self._sources:
            if (guess := source.guess()) is not None:
                guesses.append((source.name, guess))
                if guess.confidence >= _SURE:
                    return guesses[-1]
        if len(guesses) < 2:
            return guesses[0] if guesses else ("", None)
        best = weighed([guess for _, guess in guesses])
        agreeing = [one for one in guesses if one[1].token == best.token]
        return max(agreeing, key=lambda one: one[1].confidence)[0], best


def weighed(guesses: Sequence[Guess]) -> Guess:
    """Return the likeliest of the tokens that at least one source guesses.

    A guess holds with the chance of its confidence, whatever the others do; one that does not says
    nothing of its token ("noisy or"). Guesses of different tokens cannot both hold. So the chance
    of a token is that a guess of it holds and none of another, out of all that may be, that no
    guess holds included.
    """
    nobody = prod(1 - guess.confidence for guess in guesses)
    chances: dict[int, float] = {}
    for token in dict.fromkeys(guess.token for guess in guesses):
        others = prod(1 - guess.confidence for guess in guesses if guess.token != token)
        chances[token] = others - nobody
    likeliest = max(chances, key=chances.__getitem__)  # the first of equals
    total = sum(chances.values()) + nobody
    return Guess(likeliest, chances[likeliest] / total if total > 0 else 0.0)
