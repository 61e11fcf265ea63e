import sys
from pathlib import Path

import pytest

from tests.tiny_model import tiny_gguf
from tiercel.engines import load
from tiercel.errors import InvalidRequest, ModelUnavailable


def test_an_unknown_engine_names_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match="onnx, torch, simulated"):
        load("abacus", "smollm2-135m")


def test_without_torch_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "tiercel.engines.torch", raising=False)
    with pytest.raises(ModelUnavailable, match=r"install tiercel\[torch\]"):
        load("torch", str(tiny_gguf(tiny_folder)))


def test_the_onnx_engine_has_one_device(tiny_folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="device"):
        load("onnx", str(tiny_gguf(tiny_folder)), device="cuda")
