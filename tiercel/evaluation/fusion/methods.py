"""Ways of joining two models into one answer, each decoding greedily, as pure loops over logits.

CoSD is the paper's algorithm (arXiv:2502.08020), not that of the code released with it: that one
rejects a draft token which is the target's own best, and compares other probabilities.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.engines.language_model import LanguageModel, Logits
from tiercel.evaluation.evidence import log_softmax
from tiercel.evaluation.fusion.reading import Reader, Reading

# Whether to replace, from: the draft model's probability of its token, the target's of its best
# one, whether the two are equal.
Replaces = Callable[[float, float, bool], bool]


@dataclass(frozen=True)
class Question:
    """One prompt to answer, with up to `max_new_tokens` tokens or one of `ends`."""

    prompt_ids: tuple[int, ...]
    max_new_tokens: int
    ends: frozenset[int]

    def is_over(self, answer: Sequence[int]) -> bool:
        """Return whether nothing may follow these tokens."""
        return len(answer) >= self.max_new_tokens or (bool(answer) and answer[-1] in self.ends)


@dataclass(frozen=True)
class Fused:
    """An answer, and what it took; of one model alone all passes are the target's."""

    token_ids: tuple[int, ...]
    num_draft_passes: int
    num_target_passes: int
    num_replaced: int  # draft tokens that the target's stood in for
    num_dropped: int  # draft tokens behind a replaced one
    seconds: float


Method = Callable[[Question, LanguageModel, LanguageModel], Reading[Fused]]


def paper_rule(alpha: float = 0.5, beta: float = 0.5) -> Replaces:
    """Return the rule of the paper: replace a token that the draft model doubts, unless the target
    doubts its own more.

    That is, where the two differ, draft_prob < alpha and target_prob > beta draft_prob.
    """
    return lambda draft_prob, target_prob, equal: (
        not equal and draft_prob < alpha and target_prob > beta * draft_prob
    )


def draft_alone(question: Question, draft: LanguageModel, target: LanguageModel) -> Reading[Fused]:
    """Answer as the draft model would."""
    return _alone(question, draft)


def target_alone(question: Question, draft: LanguageModel, target: LanguageModel) -> Reading[Fused]:
    """Answer as the target would, which is what exact speculative decoding answers."""
    return _alone(question, target)


def averaged(question: Question, draft: LanguageModel, target: LanguageModel) -> Reading[Fused]:
    """Take each token by the mean of the models' probabilities; they must share a vocabulary."""
    answer: list[int] = []
    with closing(Reader(draft)) as one, closing(Reader(target)) as other:
        while not question.is_over(answer):
            sequence = [*question.prompt_ids, *answer]
            first = yield from one.read(sequence)
            second = yield from other.read(sequence)
            answer.append(int(np.argmax(_probabilities(first[0]) + _probabilities(second[0]))))
        return _fused(answer, one, other)


def collaborative(replaces: Replaces, num_speculative_tokens: int) -> Method:
    """Return CoSD: the target's best token stands in for a draft token where `replaces` says so.

    What was drafted behind a replaced token is dropped, and drafted anew from there.
    """

    def method(question: Question, draft: LanguageModel, target: LanguageModel) -> Reading[Fused]:
        answer: list[int] = []
        num_replaced = num_dropped = 0
        with closing(Reader(draft)) as drafter, closing(Reader(target)) as judge:
            while not question.is_over(answer):
                block = yield from _drafted(question, answer, drafter, num_speculative_tokens)
                before = [*question.prompt_ids, *answer]
                tokens = [token for token, _ in block]
                rows = yield from judge.read([*before, *tokens[:-1]], len(block))
                num_kept, replacement = _judged(block, rows, replaces)
                answer += tokens[:num_kept]
                if replacement is not None:
                    answer.append(replacement)
                    num_replaced += 1
                    num_dropped += len(tokens) - num_kept - 1
                for reader in (drafter, judge):
                    reader.cut(len(question.prompt_ids) + len(answer) - 1)
            return _fused(answer, drafter, judge, num_replaced, num_dropped)

    return method


def turned_roles(method: Method) -> Method:
    """Return the method with the roles changed: the target drafts, the draft model judges."""
    return lambda question, draft, target: method(question, target, draft)


def _alone(question: Question, model: LanguageModel) -> Reading[Fused]:
    answer: list[int] = []
    with closing(Reader(model)) as reader:
        while not question.is_over(answer):
            rows = yield from reader.read([*question.prompt_ids, *answer])
            answer.append(int(np.argmax(rows[0])))
        return Fused(tuple(answer), 0, reader.num_passes, 0, 0, reader.seconds)


def _drafted(
    question: Question, answer: Sequence[int], drafter: Reader, most: int
) -> Reading[list[tuple[int, float]]]:
    """Return the next tokens of the draft model, at least one, each with its probability."""
    block: list[tuple[int, float]] = []
    sequence = list(answer)
    while len(block) < most and not question.is_over(sequence):
        rows = yield from drafter.read([*question.prompt_ids, *sequence])
        block.append(best(rows[0]))
        sequence.append(block[-1][0])
    return block


def _judged(
    block: Sequence[tuple[int, float]], rows: Logits, replaces: Replaces
) -> tuple[int, int | None]:
    """Return how many draft tokens stand, and what replaces the one that follows them."""
    for place, (token, draft_prob) in enumerate(block):
        own, target_prob = best(rows[place])
        if replaces(draft_prob, target_prob, own == token):
            return place, own
    return len(block), None


def best(logits: NDArray[np.float32]) -> tuple[int, float]:
    """Return the likeliest token of a row of shape [vocab_size], and its probability."""
    token = int(np.argmax(logits))
    return token, float(np.exp(log_softmax(logits)[token]))


def _probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.exp(log_softmax(logits))


def _fused(
    answer: Sequence[int],
    drafter: Reader,
    judge: Reader,
    num_replaced: int = 0,
    num_dropped: int = 0,
) -> Fused:
    seconds = drafter.seconds + judge.seconds
    passes = drafter.num_passes, judge.num_passes
    return Fused(tuple(answer), *passes, num_replaced, num_dropped, seconds)
