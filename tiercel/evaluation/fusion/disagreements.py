"""What a tree of CoSD learns from: where two models differ on a right answer, and who is right."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tiercel.engines.language_model import LanguageModel, Logits, Step
from tiercel.evaluation.fusion.methods import best
from tiercel.specialisation.samples import Sample


@dataclass(frozen=True)
class Disagreement:
    """One position of an answer at which one of two models is right, and the other is not."""

    draft_prob: float  # that the draft model gives its own best token
    target_prob: float  # that the target gives its own
    target_is_right: bool


def disagreements(
    draft: LanguageModel, target: LanguageModel, samples: Sequence[Sample]
) -> Iterator[Disagreement]:
    """Yield the samples' disagreements, each after the right answer up to there.

    As in the paper (arXiv:2502.08020) positions where neither model is right teach nothing.
    Positions where both are right have no disagreement: a tree is never asked about them.
    """
    for sample in samples:
        rows = zip(_rows(draft, sample), _rows(target, sample), sample.answer_ids, strict=True)
        for drafted, judged, right in rows:
            (token, draft_prob), (own, target_prob) = best(drafted), best(judged)
            if token != own and right in (token, own):
                yield Disagreement(draft_prob, target_prob, own == right)


def _rows(model: LanguageModel, sample: Sample) -> Logits:
    """Return the logits before each token of the sample's answer."""
    tokens = [*sample.prompt_ids, *sample.answer_ids[:-1]]
    cache = model.open()
    try:
        return model.extend([Step(cache, tokens, len(sample.answer_ids))])[0]
    finally:
        cache.close()


def shares_right(found: Sequence[Disagreement]) -> tuple[float, float]:
    """Return the share of the disagreements in which the draft model, and the target, is right."""
    target = float(np.mean([one.target_is_right for one in found]))
    return 1 - target, target
