"""Outcomes come back as they were stored, in few files, each cell once."""

from pathlib import Path

import numpy as np
import pytest

from tiercel.errors import InvalidRequest
from tiercel.evaluation.evidence import halves
from tiercel.evaluation.matrix import CellsManifest, CellStore, read_cells, read_matrix
from tiercel.evaluation.outcomes import Outcome, columns_of
from tiercel.shard_folder import ShardFolder, shard_paths
from tiercel.types import FinishReason

MANIFEST = CellsManifest(column="small", set_name="own", data_digest="d", set_digest="s", tiers={})


def outcome(at: int, *, numerics: str = "n", tokens: int = 3) -> Outcome:
    return Outcome(
        prompt_id=f"own-{at}",
        prompt_hash=(1 << 63) + at,
        numerics_id=numerics,
        token_ids=tuple(range(70_000, 70_000 + tokens)),
        finish=FinishReason.STOP_TOKEN if at % 2 else FinishReason.LENGTH,
        scores={"f1": at / 4, "exact": 0.0},
        sample=at % 3,
        seed=(1 << 63) + 7 * at,
        logprobs=halves([-0.5 * at] * tokens),
        entropies=halves([0.25] * tokens),
        margins=halves([1e9] * tokens),
        choice_logprobs=halves([-1.0] * (at % 2)),
        counts={"passes.small": at},
        seconds=0.5,
    )


def test_an_outcome_comes_back_as_it_was(tmp_path: Path):
    stored = [outcome(0, tokens=0), outcome(1, numerics="other"), outcome(2, tokens=5)]
    CellStore(tmp_path, "small", MANIFEST).add(stored)
    (cells,) = read_matrix(tmp_path)
    assert cells.manifest == MANIFEST
    for one, was in zip(cells.outcomes, stored, strict=True):
        for name, value in vars(was).items():
            assert np.array_equal(getattr(one, name), value), name
            if isinstance(value, np.ndarray):
                assert getattr(one, name).dtype == np.float16
        assert list(one.scores) == ["f1", "exact"]  # the main one stays first


def test_numbers_out_of_range_stand_at_its_end():
    assert halves([1e9, -np.inf]).tolist() == [65504.0, -65504.0]


def test_small_shards_are_put_together_once_they_fill_one(tmp_path: Path):
    store = CellStore(tmp_path, "small", MANIFEST)
    sizes = []
    for start in range(0, 600, 16):
        store.add([outcome(at) for at in range(start, start + 16)])
        sizes.append(len(shard_paths(tmp_path / "small" / "own")))
    assert max(sizes) <= 18 and sizes[-1] < 10
    cells = read_cells(tmp_path / "small" / "own")
    assert sorted(int(one.prompt_id[4:]) for one in cells.outcomes) == list(range(608))


def test_a_cell_that_stands_in_two_shards_counts_once(tmp_path: Path):
    """As after a kill between the writing of a full shard and the end of the small ones."""
    CellStore(tmp_path, "small", MANIFEST).add([outcome(0), outcome(1)])
    folder = tmp_path / "small" / "own"
    ShardFolder(folder, MANIFEST, "matrix").add(*columns_of([outcome(1), outcome(2)]))
    assert [one.prompt_id for one in read_cells(folder).outcomes] == ["own-0", "own-1", "own-2"]


def test_a_cut_off_shard_is_named(tmp_path: Path):
    CellStore(tmp_path, "small", MANIFEST).add([outcome(0)])
    (path,) = shard_paths(tmp_path / "small" / "own")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InvalidRequest, match=path.name):
        read_matrix(tmp_path)


def test_a_folder_without_outcomes_is_no_matrix(tmp_path: Path):
    with pytest.raises(InvalidRequest, match="no outcomes"):
        read_matrix(tmp_path)
