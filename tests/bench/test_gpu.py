"""The GPU bench on a machine without one, with models of a few thousand weights."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.gpu.__main__ import main
from bench.gpu.measurement import Sample, measured
from bench.gpu.ours import Decoded, LookupDrafts, Ours
from bench.gpu.runs import Run, System
from bench.gpu.tables import rate_rows
from tests.engines.passes import random_tokens
from tests.tiny_model import tiny_gguf
from tiercel.engines.torch import TorchModel, TorchSettings
from tiercel.engines.torch_rank import RankSettings
from tiercel.models.resolve import resolve


def test_the_command_measures_every_system_and_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "results.json"
    main(out=out, device="cpu", dtype="fp32", sessions=[1, 3], rounds=2, tokens=40, prompt_tokens=8)
    measured_model = json.loads(out.read_text())["models"]["tiny"]
    counts: dict[tuple[str, int], int] = {}
    for sample in measured_model["samples"]:
        assert sample["num_tokens"] == 40 * sample["num_sessions"]
        key = sample["system"], sample["num_sessions"]
        counts[key] = counts.get(key, 0) + 1
        if "drafts" in sample["system"]:
            assert 0.5 < sample["acceptance"] < 0.9
    assert counts == {
        ("tiercel torch", 1): 2,
        ("tiercel torch", 3): 2,
        ("tiercel torch, drafts of 4", 1): 2,
        ("tiercel torch, drafts of 4", 3): 2,
        ("transformers generate", 1): 2,
        ("transformers generate", 3): 2,
        ("transformers, drafts of 4", 1): 2,
    }
    assert set(measured_model["missing"].values()) == {"needs a GPU", "decodes 1 at a time"}
    assert "random weights, acceptance prescribed: 0.7" in capsys.readouterr().out


class Recording(LookupDrafts):
    """Keeps the texts; drafts are what `answers` say comes next, every fifth token wrong."""

    def __init__(self, answers: list[list[int]]) -> None:
        super().__init__(4)
        self.answers, self.texts = answers, list[list[int]]()

    def start(self, sequences: Sequence[Decoded]) -> None:
        self._sequences = sequences

    def draft(self, sequences: Sequence[Decoded]) -> None:
        for one in sequences:
            place = len(one.tokens)
            known = next((a for a in self.answers if a[:place] == one.tokens), [])
            for number, token in enumerate(known[place : place + 4], start=place):
                one.drafts.append(token if number % 5 else (token + 1) % 269)

    def finish(self) -> None:
        self.texts = [one.tokens[: one.num_wanted] for one in self._sequences]


def test_drafts_change_the_speed_and_never_the_text(tmp_path: Path):
    rank = RankSettings(dtype="fp32", device="cpu", threads=1)
    model = TorchModel(resolve(str(tiny_gguf(tmp_path))), TorchSettings(rank))
    prompts = [random_tokens(20 + n, 269, seed=n) for n in range(3)]
    plain = Recording([])
    assert Ours(model, plain).decode(prompts, 40).acceptance is None
    assert [len(text) for text in plain.texts] == [len(prompt) + 40 for prompt in prompts]
    drafted = Recording(plain.texts)
    run = Ours(model, drafted).decode(prompts, 40)
    assert drafted.texts == plain.texts
    assert run.num_accepted > 2 * run.num_rejected > 0
    assert model.num_free_tokens == 16 * model.description.max_length, "all caches are closed"
    model.close()


def test_lookup_drafts_what_followed_before():
    lookup = LookupDrafts(3)
    one = Decoded([1, 2, 3, 4, 5, 1, 2], 20, cache=None)  # type: ignore[arg-type]
    lookup.start([one])
    lookup.draft([one])
    assert one.drafts == [3, 4, 5]
    assert [
        lookup.num_accepted(one.drafts, choices) for choices in ([3, 4, 5, 9], [3, 9, 5, 9])
    ] == [
        3,
        1,
    ]


def test_a_system_that_fails_is_missing_with_its_reason_and_others_are_measured():
    def fails(prompts: object, num_tokens: int) -> Run:
        raise RuntimeError("no kernel\nfor this")

    systems = [System("bad", fails), System("good", lambda p, n: Run(num_tokens=n * len(p)))]
    samples, missing = measured(systems, [[1], [2]], 5, rounds=3)
    assert missing == {"bad": "RuntimeError: no kernel"}
    assert [(one.system, one.round, one.num_tokens) for one in samples] == [
        ("good", number, 10) for number in range(3)
    ]


def test_a_row_has_the_median_the_spread_and_the_ratio():
    samples = [
        Sample(name, 4, number, 100, seconds, None)
        for name, times in {"transformers generate": [2, 4, 5], "ours": [1, 1.25, 2]}.items()
        for number, seconds in enumerate(times)
    ]
    assert list(rate_rows(samples, [4, 8])) == [
        ["transformers generate", "25 [20, 50] 1.00x", "-"],
        ["ours", "80 [50, 100] 3.20x", "-"],
    ]
