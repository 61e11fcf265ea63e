import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.tiny_model import tiny_gguf
from tiercel.distillation.prompts import Prompt
from tiercel.distillation.recording import Recorder, manifest_of
from tiercel.distillation.shards import Answer, Recording, read_answers
from tiercel.engines import load
from tiercel.engines.language_model import LanguageModel
from tiercel.tokenizer import Tokenizer

Target = tuple[LanguageModel, Tokenizer]
MAX_NEW_TOKENS = 24


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    """A tiny random llama on the onnx engine."""
    folder = tmp_path_factory.mktemp("target")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIERCEL_CACHE", str(folder / "cache"))
        return load("onnx", str(tiny_gguf(folder)), dtype="fp32", threads=1)


def prompts_of(count: int, kinds: Sequence[str] = ("chat", "code")) -> list[Prompt]:
    return [Prompt("own", row, kinds[row // 2 % len(kinds)], f"say {row}") for row in range(count)]


def data_folder(folder: Path, **data_sets: Sequence[str]) -> Path:
    """Write each data set's prompts as a file; its kind of task is its name."""
    folder.mkdir(exist_ok=True)
    for name, texts in data_sets.items():
        lines = [json.dumps({"prompt": text, "task": f"{name} task"}) for text in texts]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def record(
    target: Target,
    out: Path,
    prompts: Sequence[Prompt],
    *,
    num_tokens: int,
    batch: int = 4,
    temperature: float = 0.7,
    progress=lambda count: None,
) -> list[Answer]:
    """Record, or go on recording; return all that is there."""
    manifest = manifest_of(
        *target,
        data={name: "" for name in {prompt.data_set for prompt in prompts}},
        max_prompt_tokens=200,
        max_new_tokens=MAX_NEW_TOKENS,
        temperature=temperature,
        seed=0,
    )
    recorder = Recorder(*target, Recording(out, manifest), progress)
    recorder.record(prompts, read_answers(out), num_tokens=num_tokens, batch=batch)
    return read_answers(out)
