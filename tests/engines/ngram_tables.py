"""Small n-gram tables, built as `tiercel distill ngram` builds them."""

from collections.abc import Sequence
from pathlib import Path

from tiercel.distillation.ngram_counts import Texts
from tiercel.distillation.ngram_table import Bounds, build
from tiercel.engines.ngram_file import NgramHeader, save

# Mostly 1 2 3 4; behind 9, 2 3 goes on with 8; and texts that have nothing in common.
ENGLISH = [
    *[[500 - number, 1, 2, 3, 4, 5, 6, 7] for number in range(40)],
    *[[400 - number, 9, 2, 3, 8, 5, 6, 7] for number in range(10)],
]


def header(vocab_size: int = 512, fingerprint: str = "a tokenizer") -> NgramHeader:
    return NgramHeader(
        model="tiny",
        tokenizer_fingerprint=fingerprint,
        vocab_size=vocab_size,
        max_order=Bounds.max_order,
        num_tokens=0,
    )


def saved(
    path: Path,
    texts: Sequence[Sequence[int]],
    bounds: Bounds | None = None,
    *,
    vocab_size: int = 512,
    fingerprint: str = "a tokenizer",
) -> Path:
    """Write the table of `texts`, each the answer to a prompt of its own; return its path."""
    arrays = build(Texts.of(texts, range(len(texts))), vocab_size, bounds or Bounds())
    save(path, header(vocab_size, fingerprint), arrays)
    return path
