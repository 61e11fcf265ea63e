"""The drafters that come with Tiercel, and a drafter service that is given one."""

from pathlib import Path

import pytest

from services.drafter.__main__ import opening
from services.drafter.settings import Settings
from tests.engines.ngram_tables import ENGLISH, saved
from tiercel.drafters import table_path
from tiercel.engines.ngram import NgramTable
from tiercel.errors import ModelUnavailable
from tiercel.models.embedded import DEFAULT_MODEL
from tiercel.models.resolve import resolve
from tiercel.v1.tier_pb2 import DescribeRequest

MAX_BYTES = 8_000_000


def test_the_table_of_the_embedded_model_is_small_sound_and_of_its_tokenizer():
    path = table_path(DEFAULT_MODEL)
    assert path.stat().st_size <= MAX_BYTES
    assert path.with_name(f"{DEFAULT_MODEL}.ngram.md").is_file()  # its model card
    table = NgramTable(path)
    tokenizer = resolve(DEFAULT_MODEL).read_tokenizer()
    assert table.header.tokenizer_fingerprint == tokenizer.fingerprint
    # Contexts that any answer in English has; a table of other ids would know none of them.
    text = tokenizer.encode("The capital of France is Paris. It is one of the most popular")
    known = [table.guess(text[:length]) for length in range(1, len(text) + 1)]
    assert sum(guess is not None for guess in known) > len(text) / 2


def test_a_table_is_named_or_a_file(tmp_path: Path):
    path = saved(tmp_path / "own.safetensors", ENGLISH)
    assert table_path(str(path)) == path
    with pytest.raises(ModelUnavailable, match=rf"'nowhere'.*{DEFAULT_MODEL}"):
        table_path("nowhere")


@pytest.mark.parametrize(
    ("name", "model"), [(DEFAULT_MODEL, "smollm2-135m int4 n-grams"), ("", "")]
)
async def test_a_drafter_says_which_table_it_has(name: str, model: str):
    async with opening(Settings(ngram=name)) as servicer:
        described = await servicer.Describe(DescribeRequest(), None)
    assert described.model == model
    assert described.tokenizer_fingerprint == ""  # it drafts in any vocabulary


async def test_a_drafter_refuses_a_table_that_is_damaged(tmp_path: Path):
    path = tmp_path / "table.safetensors"
    path.write_bytes(b"no table")
    with pytest.raises(ModelUnavailable, match="is no n-gram table"):
        async with opening(Settings(ngram=str(path))):
            pass
