"""ROUGE-L, BLEU and chrF of a text against its reference, by the libraries that define them."""

from functools import cache
from typing import TYPE_CHECKING, Any

from tiercel.evaluation.items import Item

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF


def score_summary(text: str, item: Item) -> dict[str, float]:
    """Return `rouge_l`, `bleu` and `chrf`, each from 0 to 1."""
    bleu, chrf = _sacrebleu()
    references = [item.reference]
    return {
        "rouge_l": rouge_l(text, item.reference),
        "bleu": bleu.sentence_score(text, references).score / 100,
        "chrf": chrf.sentence_score(text, references).score / 100,
    }


def rouge_l(text: str, reference: str) -> float:
    """Return ROUGE-L's F measure with Porter's stemmer (Lin 2004), as rouge-score computes it."""
    return float(_rouge().score(reference, text)["rougeL"].fmeasure)


def signatures() -> dict[str, str]:
    """Return what the figures were computed with, to be quoted beside them."""
    from importlib.metadata import version

    bleu, chrf = _sacrebleu()
    for metric in (bleu, chrf):
        metric.sentence_score("one", ["one"])  # a signature knows the number of references
    return {
        "rouge_l": f"rouge-score:{version('rouge-score')}|rougeL|stemmer:yes",
        "bleu": str(bleu.get_signature()),
        "chrf": str(chrf.get_signature()),
    }


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True)


@cache
def _sacrebleu() -> "tuple[BLEU, CHRF]":
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    return BLEU(effective_order=True), CHRF()
