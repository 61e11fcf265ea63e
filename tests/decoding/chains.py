"""Chains of tiny Markov models, decoded with numbers that `enumeration` lets fall in every way.

The next token depends on the last one only, so the target's exact law of a few tokens is a product.
"""

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tests.decoding.enumeration import Chances, Numbers
from tiercel.decoding import (
    Draft,
    Target,
    TokenDistribution,
    Verdict,
    Vocabulary,
    distribution,
    draft_distribution,
    verify,
)
from tiercel.types import Acceptance, Rule, SamplingParams

Model = NDArray[np.float32]  # logits [size, size]: row i is what follows token i
Tokens = tuple[int, ...]
# (last token, most tokens, numbers of this run) -> draft
Drafter = Callable[[int, int, Numbers], Draft]
Judge = Callable[[Draft, Target, Numbers], Verdict]

SAMPLED = SamplingParams(temperature=1.0)


def model(seed: int, size: int = 3, scale: float = 1.2) -> Model:
    return np.random.default_rng(seed).normal(scale=scale, size=(size, size)).astype(np.float32)


def target(
    of: Model, last: int, draft: Tokens, params: SamplingParams = SAMPLED, support: int = 0
) -> Target:
    words = Vocabulary.of([bytes([65 + i]) for i in range(len(of))])
    return Target(of[[last, *draft]], params, words, 0, support)


def plain(row: NDArray[np.float32], params: SamplingParams = SAMPLED) -> TokenDistribution:
    """What plain decoding draws from."""
    return TokenDistribution(*distribution(row, params))


def judge(rule: Rule, strictness: float = 1.0) -> Judge:
    acceptance = Acceptance(rule, strictness)
    return lambda draft, held, numbers: verify(acceptance, draft, held, numbers)


def law(of: Model, count: int, params: SamplingParams = SAMPLED) -> dict[Tokens, float]:
    """The probability of every `count` tokens that plain decoding gives after token 0."""
    rows = [plain(row, params) for row in of]
    found = {}
    for tokens in product(range(len(of)), repeat=count):
        steps = zip((0, *tokens), tokens, strict=False)
        prob = float(np.prod([rows[last].prob(token) for last, token in steps]))
        if prob > 0:
            found[tokens] = prob
    return found


def leaf(of: Model, params: SamplingParams = SAMPLED, support: int = 0) -> Drafter:
    """A model that draws from what it sends."""
    rows = [draft_distribution(row, params, support) for row in of]

    def draft(last: int, most: int, numbers: Numbers) -> Draft:
        tokens: list[int] = []
        sent: list[TokenDistribution] = []
        for index in range(most):
            sent.append(rows[last])
            last = numbers.draw(index, rows[last])
            tokens.append(last)
        return Draft(tuple(tokens), distributions=tuple(sent))

    return draft


def middle(
    of: Model, below: Drafter, rule: Rule, support: int, judged_support: int | None = None
) -> Drafter:
    """A tier that verifies one block from below, and sends what it committed with distributions.

    `support` is at least 1, for what is sent is rounded even if it is all there is. Another
    `judged_support` is a mistake: the tier then judges by what it does not send.
    """
    held_to = support if judged_support is None else judged_support

    def draft(last: int, most: int, numbers: Numbers) -> Draft:
        drafted = below(last, most - 1, numbers.run(0))
        held = target(of, last, drafted.token_ids, support=held_to)
        verdict = judge(rule)(drafted, held, numbers.run(1))
        tokens = verdict.committed(drafted.token_ids)
        before = (last, *tokens)[: len(tokens)]
        sent = tuple(draft_distribution(of[one], SAMPLED, support) for one in before)
        return Draft(tokens, distributions=sent)

    return draft


def decode(
    of: Model, drafter: Drafter, rules: Judge, length: int, count: int, reuses: bool = False
) -> Callable[[Chances], Tokens]:
    """The program that gives `count` tokens after token 0, in blocks of `length` draft tokens.

    `reuses` is a mistake: a position is drafted again with the numbers that it had before.
    """

    def program(chances: Chances) -> Tokens:
        tokens: Tokens = ()
        runs = 0
        while len(tokens) < count:
            last = tokens[-1] if tokens else 0
            drawn = _At(chances, len(tokens)) if reuses else chances.numbers("draft", runs)
            draft = drafter(last, length, drawn)
            held = target(of, last, draft.token_ids)
            verdict = rules(draft, held, chances.numbers("verdict", runs))
            tokens += verdict.committed(draft.token_ids)
            runs += 1
        return tokens[:count]

    return program


class _At(Numbers):
    """Numbers by position in the text: the same ones in every run."""

    def __init__(self, chances: Chances, start: int) -> None:
        super().__init__(chances, ("position",))
        self._start = start

    def draw(self, index: int, distribution: TokenDistribution) -> int:
        return super().draw(self._start + index, distribution)
