"""Drafts with all that a rule may ask for, against a target, for hypothesis to draw."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from tiercel.decoding import (
    RULES,
    Claim,
    CosdTree,
    Draft,
    Randomness,
    Target,
    Verdict,
    Vocabulary,
    draft_distribution,
    verify,
)
from tiercel.decoding.cosd_tree import Leaf, Split
from tiercel.types import Acceptance, Rule, SamplingParams

SIZE = 7
WORDS = Vocabulary.of([bytes([97 + i]) for i in range(SIZE)])
LOSSY = [rule for rule, entry in RULES.items() if entry.claim is Claim.LOSSY]
TREE = CosdTree(
    Split(
        "draft_prob", 0.4, Split("target_prob", 0.3, Leaf(False, 1), Leaf(True, 1)), Leaf(False, 1)
    )
)


@dataclass(frozen=True, eq=False)
class Block:
    """A draft with its target's logits."""

    draft: Draft
    logits: NDArray[np.float32]
    params: SamplingParams

    @property
    def target(self) -> Target:
        return Target(self.logits, self.params, WORDS, offset=5)

    def judge(self, rule: Rule, strictness: float = 1.0, key: int = 0) -> Verdict:
        return verify(Acceptance(rule, strictness), self.draft, self.target, Randomness(key), TREE)


def block(seed: int, length: int, params: SamplingParams, likeness: float) -> Block:
    """A draft of a model that is like the target, as much as `likeness` says, from 0 to 1."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(scale=2, size=(length + 1, SIZE)).astype(np.float32)
    noise = rng.normal(scale=2, size=(length, SIZE))
    small = (likeness * truth[:length] + (1 - likeness) * noise).astype(np.float32)
    sent = tuple(draft_distribution(row, params, 5) for row in small)
    tokens = tuple(one.at(rng.uniform(1e-9, 1)) for one in sent)
    own = np.exp(small) / np.exp(small).sum(axis=1, keepdims=True)
    draft = Draft(
        tokens,
        probs=tuple(float(own[i, token]) for i, token in enumerate(tokens)),
        distributions=sent,
        num_agreeing=tuple(int(count) for count in rng.integers(1, 4, length)),
        agreement_probs=tuple(float(prob) for prob in rng.uniform(0, 0.99, length)),
    )
    return Block(draft, truth, params)


params = st.sampled_from(
    [
        SamplingParams(),
        SamplingParams(temperature=0.7, seed=3),
        SamplingParams(temperature=1.3, top_k=4, top_p=0.9, seed=2**64 - 1),
    ]
)
blocks = st.builds(
    block, st.integers(0, 10**6), st.integers(0, 5), params, st.sampled_from([0.2, 0.6, 0.9])
)
