from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.chain import Chain


@pytest.fixture(scope="session")
def processes() -> Iterator[Chain]:
    with ExitStack() as stack:
        yield Chain(stack)


@pytest.fixture
async def chain(processes: Chain) -> Chain:
    await processes.ready()
    return processes
