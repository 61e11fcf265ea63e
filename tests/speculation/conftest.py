from collections.abc import AsyncIterator, Iterator

import pytest

from tests.speculation.fleet import Fleet, Models
from tiercel.speculation import pace


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    models = Models(tmp_path_factory.mktemp("models"))
    yield models
    models.close()


@pytest.fixture(autouse=True)
def patient_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parent that is told to draft in any case waits for its drafters on a busy machine too."""
    monkeypatch.setattr(pace, "_ALWAYS_WAIT_S", 30.0)


@pytest.fixture
def every_block_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed at once is a message of its own, however slowly it is read."""
    for module in ("services.verifier.sessions", "tiercel.clients.verifier"):
        monkeypatch.setattr(f"{module}.join_committed", lambda first, second: False)


@pytest.fixture
async def fleet(models: Models) -> AsyncIterator[Fleet]:
    fleet = Fleet(models)
    yield fleet
    await fleet.close()
