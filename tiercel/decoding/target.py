"""The target's side of a verdict: its logits after each token of a draft, read row by row."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tiercel.decoding.distributions import (
    TokenDistribution,
    draft_distribution,
    model_probs,
)
from tiercel.decoding.noise import Vocabulary
from tiercel.decoding.sampling import candidates, coupled_draw
from tiercel.errors import ModelFault
from tiercel.types import SamplingParams

MAX_GAP = 100.0
"""A gap in log-probability is reported up to this many nats: a masked token has an infinite one."""

_Row = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Target:
    """What a draft is judged against.

    Row i of `logits`, shape [number of draft tokens + 1, vocab_size], is the model's after i tokens
    of the draft, whose first token begins at byte `offset` of the generated text. A tier that is
    itself asked for the distributions of what it sends up judges against these: `support` is then
    the number of tokens that it sends of each (0: no limit, at the root).
    """

    logits: NDArray[np.float32]
    params: SamplingParams
    vocabulary: Vocabulary
    offset: int = 0
    support: int = 0

    def check(self, num_draft_tokens: int) -> None:
        """Raise ModelFault unless there is a row for each draft token and one more."""
        rows, vocab_size = self.logits.shape
        if rows != num_draft_tokens + 1:
            raise ModelFault(f"{rows} rows of logits for a draft of {num_draft_tokens} tokens")
        if vocab_size != len(self.vocabulary):
            raise ModelFault(f"logits of {vocab_size} tokens, the vocabulary has other than that")

    def distribution(self, index: int) -> TokenDistribution:
        """Return what the token after `index` draft tokens is to be drawn from."""
        return Row(self, index, self.offset).distribution


class Row:
    """The target after `index` draft tokens, at byte `offset` of the generated text.

    Everything raises ModelFault where the logits hold NaN, or nothing finite.
    """

    def __init__(self, target: Target, index: int, offset: int) -> None:
        self.index, self.offset = index, offset
        self.logits: _Row = target.logits[index]
        self._target = target

    @cached_property
    def exact(self) -> int:
        """The token of EXACT: that of plain decoding with the same seed."""
        target = self._target
        return coupled_draw(*self._candidates, target.params, target.vocabulary, self.offset)

    @cached_property
    def distribution(self) -> TokenDistribution:
        """What the token here is to be drawn from; one token at temperature 0."""
        target = self._target
        if target.support:
            return draft_distribution(self.logits, target.params, target.support)
        ids, scores = self._candidates
        weights = np.exp(scores)
        return TokenDistribution(ids, weights / weights.sum())

    @cached_property
    def _candidates(self) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        return candidates(self.logits, self._target.params)

    @cached_property
    def own(self) -> _Row:
        """The model's own probabilities of all tokens, at temperature 1."""
        return model_probs(self.logits)

    @property
    def temperature(self) -> float:
        """That of the target's sampling."""
        return self._target.params.temperature

    def allows(self, token_id: int) -> bool:
        """Return whether the token is one of the vocabulary, and not masked by -inf."""
        return 0 <= token_id < len(self.logits) and bool(self.logits[token_id] > -np.inf)

    def coupled(self, distribution: TokenDistribution) -> int:
        """Return a token drawn from a distribution with the noise that EXACT draws with here."""
        target, ids = self._target, distribution.token_ids
        with np.errstate(divide="ignore"):
            scores = np.log(distribution.shares)
        return coupled_draw(ids, scores, target.params, target.vocabulary, self.offset)

    def gap(self, token_id: int) -> float:
        """Return the log-probability of EXACT's token less that of another, at temperature 1."""
        exact = float(self.logits[self.exact])
        other = float(self.logits[token_id]) if self.allows(token_id) else -np.inf
        if exact == other:
            return 0.0
        return float(np.clip(exact - other, -MAX_GAP, MAX_GAP))
