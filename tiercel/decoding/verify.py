"""Acceptance rules: which tokens of a draft stand, and which token follows them.

`RULES` has one function for each `Rule`. The cache, stops and streams are the caller's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tiercel.decoding.noise import Vocabulary
from tiercel.decoding.sampling import choose
from tiercel.errors import ModelFault
from tiercel.types import Rule, SamplingParams


@dataclass(frozen=True)
class Verdict:
    """What a rule says of a draft: its first `num_accepted` tokens stand, then `next_token`."""

    num_accepted: int
    next_token: int  # the recovered token after a rejection, the bonus token otherwise
    num_rejected: int  # 0 or 1: what follows a rejection was not judged


class AcceptanceRule(Protocol):
    """Judges a draft against the target's logits."""

    def __call__(
        self,
        draft: Sequence[int],
        logits: NDArray[np.float32],
        params: SamplingParams,
        vocabulary: Vocabulary,
        offset: int,
    ) -> Verdict:
        """Return the verdict on `draft`, whose first token begins at byte `offset` of the text.

        `logits` has shape [len(draft) + 1, vocab_size]; row i is the target's, after i tokens of
        the draft. Raises ModelFault for another shape, NaN or a row without a finite logit.
        """
        ...


def verify_exact(
    draft: Sequence[int],
    logits: NDArray[np.float32],
    params: SamplingParams,
    vocabulary: Vocabulary,
    offset: int,
) -> Verdict:
    """Accept draft tokens while each is the very token that plain decoding would choose.

    Drafter and target draw with the same noise, so they often agree (arXiv:2408.07978), and the
    text does not depend on the draft at all. An id outside the vocabulary is never equal.
    """
    if len(logits) != len(draft) + 1:
        raise ModelFault(f"{len(logits)} rows of logits for a draft of {len(draft)} tokens")
    for position, token_id in enumerate(draft):
        target = choose(logits[position], params, vocabulary, offset)
        if target != token_id:
            return Verdict(num_accepted=position, next_token=target, num_rejected=1)
        offset = vocabulary.advance(offset, (target,))
    bonus = choose(logits[len(draft)], params, vocabulary, offset)
    return Verdict(num_accepted=len(draft), next_token=bonus, num_rejected=0)


RULES: dict[Rule, AcceptanceRule] = {Rule.EXACT: verify_exact}
