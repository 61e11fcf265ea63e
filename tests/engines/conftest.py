from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tiny_model import tiny_gguf
from tiercel.engines import load
from tiercel.engines.onnx import OnnxModel

TinyLoader = Callable[..., OnnxModel]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="session")
def load_tiny(tiny_folder: Path) -> Iterator[TinyLoader]:
    """Load a tiny model, its graph in a cache folder of the tests' own."""

    def loader(dtype: str = "fp32", *, architecture: str = "llama", **options: int) -> OnnxModel:
        path = tiny_gguf(tiny_folder, architecture=architecture)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TIERCEL_CACHE", str(tiny_folder / "cache"))
            model, _ = load("onnx", str(path), dtype=dtype, **{"threads": 1, **options})
        assert isinstance(model, OnnxModel)
        return model

    yield loader
