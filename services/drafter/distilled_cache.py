"""The rows that a distilled drafter holds of one sequence; used in the model's thread only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.decoding import Randomness, TokenDistribution, choose, draft_distribution
from tiercel.engines.distilled import DistilledModel
from tiercel.types import Evidence, SamplingParams

States = NDArray[np.float32]  # shape [rows, hidden_size]


@dataclass(frozen=True)
class Work:
    """What to draft, as the sequence stood when it was asked for.

    A row is a token and, for a drafter that uses them, the target's state before it.
    """

    tokens: Sequence[int]  # of all rows: committed ones, then the drafter's own so far
    states: States | None  # of the committed rows
    num_committed: int
    num_sound: int  # committed rows in the cache that are still true
    num_wanted: int
    offset: int  # in bytes of the generated text, of what is to be drafted
    run: int = 0  # its number: no two drafts may be drawn with the same numbers


@dataclass(frozen=True)
class Drafted:
    """Tokens that may follow; the last one is too unlikely to be sent if it `is_unsure`."""

    token_ids: tuple[int, ...]
    probs: tuple[float, ...]
    distributions: tuple[TokenDistribution, ...] | None
    is_unsure: bool


@dataclass(frozen=True)
class Manner:
    """How tokens are chosen: with noise of the drafter's own where the parent asks what from."""

    params: SamplingParams
    stop_token_ids: frozenset[int]
    evidence: Evidence
    randomness: Randomness


@dataclass(frozen=True)
class _Token:
    """One draft token."""

    token_id: int
    prob: float  # at temperature 1
    distribution: TokenDistribution | None  # in the target's ids
    certainty: float  # what is held against the least confidence


class DistilledCache:
    """Follows the target row by row, and runs ahead of it on the drafter's own states."""

    def __init__(self, model: DistilledModel, manner: Manner) -> None:
        self._model, self._manner = model, manner
        self._cache = model.open()
        # What follows the cache's last row: the drafter's state there, and its logits.
        self._state, self._logits = np.empty(0, np.float32), np.empty(0, np.float32)

    def draft(self, work: Work, confidence: float) -> Drafted:
        """Return at most `num_wanted` tokens; one less likely than `confidence` ends the draft."""
        self._follow(work)
        drafted: list[_Token] = []
        offset = work.offset
        while True:
            token = self._token(work.run, len(drafted), offset)
            drafted.append(token)
            if confidence > 0 and token.certainty < confidence:
                return _drafted(drafted, is_unsure=True)
            is_stop = token.token_id in self._manner.stop_token_ids
            if len(drafted) >= work.num_wanted or is_stop:
                return _drafted(drafted, is_unsure=False)
            offset += int(self._model.widths[token.token_id])
            self._go_on(token.token_id)

    def close(self) -> None:
        """Give the memory back."""
        self._cache.close()

    def _token(self, run: int, index: int, offset: int) -> _Token:
        manner, model = self._manner, self._model
        if manner.evidence is not Evidence.DISTRIBUTIONS:
            output = choose(self._logits, manner.params, model.vocabulary, offset)
            prob = _likelihood(self._logits, output)
            return _Token(model.token_id(output), prob, None, prob)
        drawn_from = draft_distribution(self._logits, manner.params)
        output = manner.randomness.run(run).draw(index, drawn_from)
        ids = [model.token_id(int(one)) for one in drawn_from.token_ids]
        sent = TokenDistribution.of(ids, drawn_from.probs.tolist())
        # A token that was drawn may not be dropped for what it is, only for how little is known.
        certainty = float(drawn_from.shares.max())
        prob = _likelihood(self._logits, output)
        return _Token(model.token_id(output), prob, sent, certainty)

    def _follow(self, work: Work) -> None:
        """Feed what the cache lacks: first what is committed, then the drafter's own tokens."""
        if work.num_sound < work.num_committed or self._cache.length < work.num_committed:
            # The last committed row gives the state to go on from, so it is fed in any case.
            start = min(work.num_sound, work.num_committed - 1)
            self._cache.truncate(start)
            tokens = list(work.tokens[start : work.num_committed])
            states = None if work.states is None else work.states[start:]
            self._state, self._logits = self._model.extend(self._cache, tokens, states)
        for token_id in work.tokens[self._cache.length :]:
            self._go_on(token_id)

    def _go_on(self, token_id: int) -> None:
        uses_hidden = self._model.manifest.shape.uses_hidden
        states = self._state[None] if uses_hidden else None
        self._state, self._logits = self._model.extend(self._cache, [token_id], states)


def _drafted(tokens: Sequence[_Token], *, is_unsure: bool) -> Drafted:
    known = tuple(one.distribution for one in tokens if one.distribution is not None)
    return Drafted(
        tuple(one.token_id for one in tokens),
        tuple(one.prob for one in tokens),
        known if len(known) == len(tokens) else None,
        is_unsure,
    )


def _likelihood(logits: NDArray[np.float32], output: int) -> float:
    """Return the probability of a place in the logits at temperature 1."""
    return float(1.0 / np.exp(logits - logits[output]).sum())
