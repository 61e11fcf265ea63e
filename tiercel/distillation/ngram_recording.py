"""Reads recordings for an n-gram table: the answers, and what the target held likeliest in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiercel.distillation.lesson_files import read_lessons
from tiercel.distillation.ngram_counts import Texts
from tiercel.distillation.shards import Answer, RecordingManifest, read_manifest, read_shards
from tiercel.errors import TokenizerMismatch


@dataclass(frozen=True)
class _Said:
    answer: Answer
    best: list[int]


def read_texts(folders: Sequence[Path]) -> tuple[RecordingManifest, Texts]:
    """Return the answers of all folders, and the manifest of the first.

    Where a recording has lessons they say what the target held likeliest. Raises InvalidRequest
    for a folder that is no recording, TokenizerMismatch for recordings of different tokenizers.
    """
    manifests = {folder: read_manifest(folder) for folder in folders}
    first = manifests[folders[0]]
    for folder, manifest in manifests.items():
        if manifest.tokenizer_fingerprint != first.tokenizer_fingerprint:
            raise TokenizerMismatch(f"{folder} was recorded with another tokenizer")
    said = [one for folder in manifests for one in _read(folder)]
    texts = Texts.of(
        [one.answer.token_ids for one in said],
        _prompts(one.answer for one in said),
        [one.best for one in said],
    )
    return first, texts


def _read(folder: Path) -> Iterator[_Said]:
    for name, answers in read_shards(folder).items():
        best = [id for answer in answers for id in answer.token_ids]
        if lessons := sorted(folder.glob(f"lessons-*/{name}")):
            best = read_lessons(lessons[0]).top_ids[:, 0].tolist()
        end = 0
        for answer in answers:
            start, end = end, end + len(answer.token_ids)
            yield _Said(answer, best[start:end])


def _prompts(answers: Iterator[Answer]) -> list[int]:
    """Return a number for each answer, the same for answers to one prompt."""
    numbers: dict[tuple[str, int], int] = {}
    return [numbers.setdefault((one.data_set, one.row), len(numbers)) for one in answers]
