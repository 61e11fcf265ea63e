"""A model split over two ranks, which are two processes on the CPU that talk over gloo."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from torch import distributed

from tests import tiny_model
from tests.engines.passes import random_tokens
from tiercel.engines import load, torch_followers
from tiercel.engines.language_model import LanguageModel, Step
from tiercel.engines.torch import TorchModel, TorchSettings, load_model
from tiercel.engines.torch_followers import Followers
from tiercel.engines.torch_rank import RankSettings
from tiercel.errors import InvalidRequest, ModelUnavailable, Unavailable
from tiercel.models.resolve import resolve

VOCAB = 269  # odd: the last rank's part of the head is padded
TWO_RANKS = RankSettings(dtype="fp32", device="cpu", threads=1, num_ranks=2)
PATIENCE_S = 150.0


def written(folder: Path, kv_heads: int) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_model, "KV_HEADS", kv_heads)
        return tiny_model.tiny_gguf(folder, architecture="qwen2")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("ranks"), kv_heads=2)


@dataclass
class Split:
    """A model over two ranks, and what was said of its loss."""

    model: TorchModel
    losses: list[str] = field(default_factory=list)

    @property
    def follower(self) -> int:
        assert self.model._followers is not None
        [process_id] = self.model._followers.process_ids
        return process_id


@pytest.fixture
def split(path: Path) -> Iterator[Split]:
    with loaded(path) as model:
        yield model


@contextmanager
def loaded(path: Path) -> Iterator[Split]:
    losses: list[str] = []
    model = load_model(resolve(str(path)), TorchSettings(TWO_RANKS), losses.append)
    try:
        yield Split(model, losses)
    finally:
        model.close()


def passes(model: LanguageModel) -> list[np.ndarray]:
    """Several passes over ragged sequences, with a shared prefix and a roll-back between."""
    caches = [model.open() for _ in range(3)]
    prompts = [random_tokens(10 + 20 * n, VOCAB, seed=n) for n in range(3)]
    found = model.extend([Step(c, p, len(p)) for c, p in zip(caches, prompts, strict=True)])
    caches[0].truncate(5)
    copy = model.open(caches[2], 47)
    found += model.extend([Step(caches[0], [4, 5, 6], 3), Step(copy, [7], 1)])
    hidden = np.empty((2, tiny_model.HIDDEN), np.float32)
    found += model.extend([Step(caches[1], [8, 9], 2, hidden), Step(caches[2], [1], 1)])
    return [*found, hidden]


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_two_ranks_give_what_one_gives(tmp_path: Path, kv_heads: int) -> None:
    """With one head of keys and values both ranks hold it, with two each has its own."""
    path = written(tmp_path, kv_heads)
    single, _ = load("torch", str(path), dtype="fp32", device="cpu", threads=1)
    with loaded(path) as split:
        for rows, expected in zip(passes(split.model), passes(single), strict=True):
            assert rows.shape == expected.shape
            np.testing.assert_allclose(rows, expected, atol=1e-3)
        with pytest.raises(InvalidRequest, match="leads a model already"):
            load("torch", str(path), device="cpu", tensor_parallel=2)
        assert split.losses == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda s: s.name)
def test_a_lost_follower_ends_the_model_with_one_clear_error(
    split: Split, how: signal.Signals
) -> None:
    cache = split.model.open()
    split.model.extend([Step(cache, [1, 2, 3], 1)])
    os.kill(split.follower, how)
    reason = f"rank 1 of 2 ended with status -{int(how)}"
    for _ in range(2):
        with pytest.raises(Unavailable, match=reason):
            while True:  # a pass may still come through before the kernel ends the process
                split.model.extend([Step(cache, [4], 1)])
    eventually(lambda: split.losses == [reason])


def test_a_follower_that_hangs_is_waited_for_no_longer_than_the_limit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_NOTICE_S", "_END_S"):
        monkeypatch.setattr(torch_followers, name, 0.5)
    with loaded(path) as split:
        cache = split.model.open()
        group = distributed.group.WORLD
        distributed.distributed_c10d._set_pg_timeout(timedelta(seconds=1), group)
        os.kill(split.follower, signal.SIGSTOP)
        for _ in range(2):
            with pytest.raises(Unavailable, match="the ranks lost each other"):
                split.model.extend([Step(cache, [1, 2], 1)])
        assert len(split.losses) == 1
    assert not is_running(split.follower)


def test_a_follower_that_cannot_load_says_why(tmp_path: Path) -> None:
    followers = Followers(tmp_path / "no-such.gguf", TWO_RANKS, on_lost=print)
    with pytest.raises(ModelUnavailable, match=r"rank 1 of 2: no model .*no-such\.gguf"):
        _ = followers.most_cache_tokens
    followers.close()


def test_a_follower_that_ends_before_it_has_loaded_is_no_wait(tmp_path: Path) -> None:
    followers = Followers(tmp_path, TWO_RANKS, on_lost=print)
    os.kill(followers.process_ids[0], signal.SIGKILL)
    with pytest.raises(ModelUnavailable, match="rank 1 of 2 ended with status -9"):
        _ = followers.most_cache_tokens
    followers.close()


PROGRAM = """
import sys, time
from tiercel.engines import load, torch_followers
model, _ = load("torch", sys.argv[1], device="cpu", threads=1, tensor_parallel=2)
print(*model._followers.process_ids, flush=True)
time.sleep(600)
"""


@pytest.fixture
def program(path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that has loaded the model as a service does, and its follower's process id."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process, int(process.stdout.readline())
    process.kill()
    process.communicate()


def test_a_service_ends_when_a_follower_is_lost(
    program: tuple[subprocess.Popen[str], int],
) -> None:
    process, follower = program
    os.kill(follower, signal.SIGKILL)
    written, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "rank 1 of 2 ended with status -9" in written + errors


def test_followers_end_with_the_process_that_leads_them(
    program: tuple[subprocess.Popen[str], int],
) -> None:
    process, follower = program
    assert is_running(follower)
    process.kill()
    eventually(lambda: not is_running(follower))


def is_running(process_id: int) -> bool:
    status = Path(f"/proc/{process_id}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
