"""The suites on real Qwen models: 1.6 GB, so only where a folder with their files is named."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.qwen.tiers import SMOLLM2, NativeModels, Qwen
from tests.speculation.fleet import Fleet, Weights
from tiercel.models.resolve import resolve
from tiercel.speculation import pace
from tiercel.tokenizer import Tokenizer


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave these tests out of all runs that name no folder."""
    return None if config.getoption("--models") else True


@pytest.fixture(scope="session")
def files(request: pytest.FixtureRequest) -> dict[str, str]:
    """The models' files by size."""
    folder = Path(request.config.getoption("--models")).expanduser()
    name = "qwen2.5-coder-{}-instruct-q4_k_m.gguf"
    return {size: str(folder / name.format(size)) for size in ("0.5b", "1.5b")}


@pytest.fixture(scope="session")
def tokenizers(files: dict[str, str]) -> dict[str, Tokenizer]:
    """The two families' tokenizers."""
    return {
        "qwen": resolve(files["0.5b"]).read_tokenizer(),
        "smollm2": resolve(SMOLLM2).read_tokenizer(),
    }


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NativeModels]:
    models = NativeModels(tmp_path_factory.mktemp("models"))
    yield models
    models.close()


@pytest.fixture(scope="session")
def patience() -> Iterator[None]:
    """Let parents wait for drafts however busy the machine is: what is said is tested, not when."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "_ALWAYS_WAIT_S", 60.0)
        yield


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def qwen(models: NativeModels, files: dict[str, str], patience: None) -> AsyncIterator[Qwen]:
    """One tier of each model, a twin of the smaller Qwen, and look-ups."""
    fleet = Fleet(models)
    yield Qwen(
        fleet,
        large=await fleet.model("large", Weights(model=files["1.5b"])),
        small=await fleet.model("small", Weights(model=files["0.5b"])),
        twin=await fleet.model("twin", Weights(model=files["0.5b"])),
        foreign=await fleet.model("foreign", Weights(model=SMOLLM2)),
        suffix=await fleet.suffix(),
    )
    await fleet.close()
