import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.evaluation.runs import collect
from tests.tiny_model import tiny_gguf
from tiercel.errors import Unsupported
from tiercel.evaluation.scoring.sandbox import passes

NUM_QUESTIONS, NUM_CHOICES = 50, 45


@pytest.fixture(scope="session")
def confined() -> None:
    """Skip where the kernel permits no namespaces: nothing is run there, which is tested too."""
    try:
        passes("")
    except Unsupported as why:
        pytest.skip(str(why))


@pytest.fixture(scope="session")
def ladder(tmp_path_factory: pytest.TempPathFactory):
    """The configuration of two tiny random tiers on the native engine."""
    folder = tmp_path_factory.mktemp("ladder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIERCEL_CACHE", str(folder / "cache"))
        path = folder / "tiers.toml"
        tiers = [
            f'[tiers.{name}]\nservice = "verifier"\nengine = "native"\ndtype = "int8"\n'
            f'model = "{tiny_gguf(folder, seed)}"\naddresses = ["localhost:{50000 + seed}"]\n'
            for seed, name in enumerate(("small", "large"))
        ]
        plans = '[plans]\nsmall = "small"\n'
        path.write_text('default_plan = "small"\n' + "".join(tiers) + plans)
        yield path


@pytest.fixture(scope="session")
def chained(tmp_path_factory: pytest.TempPathFactory):
    """The configuration of a tier, two that often say the same, and one of another tokenizer."""
    folder = tmp_path_factory.mktemp("chained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIERCEL_CACHE", str(folder / "cache"))
        models = {
            "large": tiny_gguf(folder, 1),
            "middle": tiny_gguf(folder, 1, noise=0.04),
            "small": tiny_gguf(folder, 1, noise=0.08),
            "foreign": tiny_gguf(folder, 1, tokenizer="other, reversed"),
        }
        path = folder / "tiers.toml"
        tiers = [
            f'[tiers.{name}]\nservice = "verifier"\nengine = "native"\ndtype = "int8"\n'
            f'model = "{model}"\naddresses = ["localhost:{50000 + at}"]\n'
            for at, (name, model) in enumerate(models.items())
        ]
        path.write_text('default_plan = "large"\n' + "".join(tiers) + _CHAINED)
        yield path


_CHAINED = """
[tiers.lookup]
service = "drafter"
engine = "suffix"
addresses = ["localhost:50010"]

[plans]
large = "large"
"""


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of questions and one of multiple choices."""
    folder = tmp_path_factory.mktemp("data")
    return data_folder(
        folder, nq_open_dev=questions(NUM_QUESTIONS), openbookqa_test=choices(NUM_CHOICES)
    )


@pytest.fixture(scope="session")
def whole(ladder: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A matrix that was collected in one run."""
    out = tmp_path_factory.mktemp("whole")
    collect(ladder, data, out)
    return out


def data_folder(folder: Path, **sets: Sequence[Mapping[str, object]]) -> Path:
    """Write each set's rows as its file."""
    folder.mkdir(exist_ok=True)
    for name, rows in sets.items():
        lines = [json.dumps({"id": f"{name}-{at}", **row}) for at, row in enumerate(rows)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def questions(count: int) -> list[dict[str, object]]:
    """Rows of nq_open_dev's kind."""
    return [
        {"prompt": f"what follows {at}?", "reference": str(at + 1), "meta": {"answers": ["e", "s"]}}
        for at in range(count)
    ]


def choices(count: int) -> list[dict[str, object]]:
    """Rows of openbookqa_test's kind, with two or three letters."""
    rows = []
    for at in range(count):
        listed = "\n".join(f"{letter}. {at}{letter}" for letter in "ABC"[: 2 + at % 2])
        rows.append({"prompt": f"which of {at}\n{listed}\nAnswer:", "reference": "AB"[at % 2]})
    return rows
