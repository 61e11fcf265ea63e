"""What every engine checks when it loads, before a forward pass, and after it."""

from collections.abc import Sequence

import numpy as np

from tiercel.engines.language_model import Logits, Step
from tiercel.engines.trees import check_parents
from tiercel.errors import InvalidRequest, ModelFault

_DEFAULT_MAX_LENGTH = 4096  # in tokens; a model that can hold more does so if it is told to


def capped_length(possible: int, max_length: int | None) -> int:
    """Return the tokens to hold; raises InvalidRequest for more than the model's `possible`."""
    if max_length is None:
        return min(possible, _DEFAULT_MAX_LENGTH)
    if not 1 <= max_length <= possible:
        raise InvalidRequest("max_length", max_length, f"the model can hold 1 to {possible}")
    return max_length


def check_steps(
    steps: Sequence[Step], *, vocab_size: int, max_length: int, takes_trees: bool = False
) -> None:
    """Raise InvalidRequest for the first step that cannot be run; touches no cache."""
    if len({id(step.cache) for step in steps}) < len(steps):
        raise InvalidRequest("steps", len(steps), "one cache stands in two steps of a call")
    for step in steps:
        _check_step(step, vocab_size, max_length)
        if step.parents is not None:
            if not takes_trees:
                raise InvalidRequest("parents", len(step.parents), "this engine takes no trees")
            check_parents(step.parents, len(step.tokens))


def _check_step(step: Step, vocab_size: int, max_length: int) -> None:
    count = len(step.tokens)
    if not count:
        raise InvalidRequest("tokens", [], "a step needs at least one token")
    if not 0 <= step.num_logits <= count:
        raise InvalidRequest("num_logits", step.num_logits, f"must be between 0 and {count}")
    for token in (min(step.tokens), max(step.tokens)):
        if not 0 <= token < vocab_size:
            raise InvalidRequest("tokens", token, f"is not a token id below {vocab_size}")
    total = step.cache.length + count
    if total > max_length:
        raise InvalidRequest("tokens", total, f"the model holds at most {max_length} tokens")


def check_prefix(held: int, length: int) -> None:
    """Raise ValueError for a prefix that a cache of `held` tokens does not hold."""
    if not 0 <= length <= held:
        raise ValueError(f"a cache of {held} tokens has no prefix of {length}")


def check_logits(logits: Logits) -> None:
    """Raise ModelFault if a row holds a NaN, or has no finite best; -inf elsewhere is allowed."""
    if len(logits) and not np.isfinite(logits.max(axis=1)).all():
        raise ModelFault("the model gave logits that are not numbers")
