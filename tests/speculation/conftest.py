from collections.abc import AsyncIterator, Iterator

import pytest

from tests.speculation.fleet import Fleet, Models


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    models = Models(tmp_path_factory.mktemp("models"))
    yield models
    models.close()


@pytest.fixture
async def fleet(models: Models) -> AsyncIterator[Fleet]:
    fleet = Fleet(models)
    yield fleet
    await fleet.close()
