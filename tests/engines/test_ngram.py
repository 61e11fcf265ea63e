import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from tests.engines.ngram_tables import ENGLISH, header, saved
from tiercel.distillation.ngram_table import Bounds
from tiercel.engines.ngram import NgramSource, NgramTable
from tiercel.engines.ngram_file import key_of, keys_of, mapped, place_of, places_of
from tiercel.errors import ModelUnavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return saved(tmp_path / "table.safetensors", ENGLISH)


def test_the_longest_known_context_answers(path: Path) -> None:
    table = NgramTable(path)
    assert table.guess([1, 2, 3]).token == 4  # in every text
    assert table.guess([9, 2, 3]).token == 8  # in fewer, but only there
    assert table.guess([77, 2, 3]).token == 4  # what was never seen falls back on 2, 3
    assert table.guess([2, 3]).token == 4


def test_unknown_contexts_have_no_guess(path: Path) -> None:
    table = NgramTable(path)
    assert table.guess([]) is None
    assert table.guess([501]) is None
    assert NgramSource(table).guess() is None


def test_a_source_follows_its_sequence(path: Path) -> None:
    source = NgramSource(NgramTable(path))
    source.append([1, 2, 3])
    assert source.guess().token == 4
    source.append([4])
    source.truncate(0)
    source.append([9, 2, 3])
    assert source.guess().token == 8


def test_more_evidence_is_more_confidence(tmp_path: Path) -> None:
    """Of contexts that always go on alike, one seen more often is never less sure."""
    generator = random.Random(1)
    noise = [[generator.randrange(100, 140) for _ in range(30)] for _ in range(300)]
    often = {token: 2 ** (token - 10) for token in range(10, 17)}
    texts = [[*text, token, token + 40] for token in often for text in noise[: often[token]]]
    table = NgramTable(saved(tmp_path / "t", texts, Bounds(min_difference=0.0)))
    confidences = [table.guess([token]).confidence for token in often]
    assert confidences == sorted(confidences)
    assert confidences[-1] > confidences[0] + 0.2


def test_less_agreement_is_less_confidence(tmp_path: Path) -> None:
    generator = random.Random(1)
    shares = {10: 1.0, 11: 0.8, 12: 0.6, 13: 0.4}
    texts = [
        [token, 50 if generator.random() < share else 60 + generator.randrange(20)]
        for token, share in shares.items()
        for _ in range(400)
    ]
    table = NgramTable(saved(tmp_path / "t", texts))
    guesses = [table.guess([token]) for token in shares]
    assert [guess.token for guess in guesses] == [50] * 4
    for guess, share in zip(guesses, shares.values(), strict=True):
        assert guess.confidence == pytest.approx(share, abs=0.12)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(1, 10_000_000))
@settings(max_examples=200)
def test_one_key_and_many_are_computed_alike(key: int, token: int, num_buckets: int) -> None:
    [many] = keys_of(np.array([key], np.uint64), np.array([token], np.uint64))
    assert key_of(key, token) == int(many)
    buckets, marks = places_of(np.array([many]), num_buckets)
    assert place_of(int(many), num_buckets) == (buckets[0], marks[0])
    assert 0 <= buckets[0] < num_buckets


def test_the_table_is_mapped_read_only_and_shared(path: Path) -> None:
    _, arrays = mapped(path)
    for column in arrays.columns().values():
        assert isinstance(column, np.memmap) and not column.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1
    maps = Path("/proc/self/maps")
    if maps.exists():
        permissions = {
            line.split()[1] for line in maps.read_text().splitlines() if str(path) in line
        }
        assert permissions == {"r--s"}


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:40],
        lambda content: content[:-1],
        lambda content: content + b"x",
        flipped,
        lambda content: b"\xff" * 8 + content[8:],
        lambda content: b"\x80\x04]" + content[3:],
    ],
    ids=["empty", "header cut", "one byte short", "one byte more", "flipped", "length", "pickle"],
)
def test_a_damaged_file_is_refused(path: Path, damage) -> None:
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelUnavailable, match="is no n-gram table"):
        NgramTable(path)


def rewritten(path: Path, about: dict[str, str] | None = None, **columns: np.ndarray) -> None:
    """Change a table as somebody would who can compute its checksum."""
    from tiercel.engines.ngram_file import _digest

    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + size])["__metadata__"] | (about or {})
    changed = load_file(path) | columns
    save_file(changed, path, metadata=metadata | {"sha256": _digest(changed)})


def test_a_table_rewritten_as_it_was_is_taken(path: Path) -> None:
    rewritten(path)
    NgramTable(path)


def test_tables_that_would_lead_outside_are_refused(path: Path) -> None:
    columns = load_file(path)
    offsets, tokens = columns["offsets"], columns["tokens"]
    far, unsorted = offsets.copy(), offsets.copy()
    far[-1] += 1
    unsorted[1:-1] = offsets[-1] + 7
    for changes in (
        {"offsets": far},
        {"offsets": unsorted},
        {"tokens": tokens + np.uint16(60_000)},
        {"tokens": tokens[:-1]},
        {"marks": columns["marks"].astype(np.uint32)},
        {"confidences": columns["confidences"].reshape(1, -1)},
        {"about": {"format": "tiercel-ngram-0"}},
        {"about": {"max_order": "9"}},
        {"about": {"vocab_size": "many"}},
    ):
        saved(path, ENGLISH)
        rewritten(path, **changes)
        with pytest.raises(ModelUnavailable, match="is no n-gram table"):
            NgramTable(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="no n-gram table"):
        NgramTable(tmp_path / "nowhere")
    other = tmp_path / "weights.safetensors"
    save_file({"a": np.zeros(3)}, other)
    with pytest.raises(ModelUnavailable, match="format"):
        NgramTable(other)


def test_ids_over_16_bits_have_room(tmp_path: Path) -> None:
    large = [[token + 100_000 for token in text] for text in ENGLISH]
    path = saved(tmp_path / "t", large, vocab_size=151_936)
    assert NgramTable(path).guess([100_001, 100_002, 100_003]).token == 100_004
    assert NgramTable(path).header == header(151_936)
