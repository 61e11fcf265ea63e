"""A distilled drafter: it follows the answer's tokens, and its target's states if it uses them.

These are the target's own at every position. A live drafter has them for the first token of a
block; behind it goes on with states of its own, and is right a little less often.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tiercel.engines.distilled import DistilledModel
from tiercel.engines.language_model import LanguageModel, Step
from tiercel.errors import InvalidRequest
from tiercel.evaluation.loaded_tiers import LoadedTier
from tiercel.evaluation.matching.choices import Given, Matches, best_of_rows

_States = NDArray[np.float32]  # shape [tokens, hidden_size]
_PIECE = 256


class DistilledChooser:
    """A drafter and the root that it was made for."""

    def __init__(self, drafter: DistilledModel, root: LoadedTier) -> None:
        """Raises InvalidRequest for a root of another vocabulary, or of other states."""
        manifest = drafter.manifest
        needs_states = manifest.shape.uses_hidden
        if manifest.tokenizer_fingerprint != root.tokenizer.fingerprint:
            raise InvalidRequest("drafter", manifest.target, f"{root.name} has another tokenizer")
        if needs_states and manifest.target_digest != root.identity.weights_digest:
            raise InvalidRequest("drafter", manifest.target, f"{root.name} has other hidden states")
        if needs_states and not root.model.description.hidden_size:
            raise InvalidRequest("drafter", manifest.target, f"{root.name} shows no hidden states")
        self._drafter, self._root = drafter, root.model if needs_states else None

    def matches(self, given: Given) -> Matches:
        """Return the matches; of the answer's first token there is none, with nothing to go by."""
        answer = given.answer_ids
        if len(answer) > self._drafter.max_length:
            return Matches.of([(False, 0.0)] * len(answer))
        states = None if self._root is None else _states(self._root, given)
        cache, found = self._drafter.open(), [(False, 0.0)]
        try:
            for place, (token_id, following) in enumerate(pairwise(answer)):
                state = None if states is None else states[place : place + 1]
                _, logits = self._drafter.extend(cache, [token_id], state)
                ((output, prob),) = best_of_rows(logits[None])
                found.append((self._drafter.token_id(output) == following, prob))
        finally:
            cache.close()
        return Matches.of(found)


def _states(root: LanguageModel, given: Given) -> _States:
    """Return the root's hidden states before each of the answer's tokens."""
    tokens = [*given.prompt_ids, *given.answer_ids[:-1]]
    wanted = len(given.answer_ids)
    states = np.empty((wanted, root.description.hidden_size), np.float32)
    cache = root.open()
    try:
        first = len(tokens) - wanted  # position of the first row that is wanted
        for start in range(0, first, _PIECE):
            root.extend([Step(cache, tokens[start : min(start + _PIECE, first)], 0)])
        for start in range(0, wanted, _PIECE // 4):
            piece = tokens[first + start : first + start + _PIECE // 4]
            rows = states[start : start + len(piece)]
            root.extend([Step(cache, piece, len(piece), rows)])
        return states
    finally:
        cache.close()
