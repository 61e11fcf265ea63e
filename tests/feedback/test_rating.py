"""Ratings by the client and by `tiercel rate`, taken by the real service."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from services.feedback import metrics
from services.feedback.__main__ import opening
from services.feedback.settings import Settings
from tests.addresses import free_address
from tests.feedback.servers import RedisServer
from tiercel import rpc
from tiercel.cli.__main__ import app
from tiercel.clients.feedback import FeedbackClient
from tiercel.errors import InvalidRequest
from tiercel.learning import Rating


@pytest.fixture
async def address(valkey: RedisServer) -> AsyncIterator[str]:
    settings = Settings(redis_url=SecretStr(valkey.url))
    async with rpc.server(opening(settings), "localhost:0") as port:
        yield f"localhost:{port}"


@pytest.fixture
async def client(address: str) -> AsyncIterator[FeedbackClient]:
    client = FeedbackClient(address)
    yield client
    await client.close()


async def tiercel(*arguments: str) -> Result:
    """Run `tiercel` beside the service of this loop."""
    return await asyncio.to_thread(CliRunner().invoke, app, arguments)


def num_applied() -> float:
    return metrics.ratings.labels("applied")._value.get()


async def test_a_rating_counts_once(client: FeedbackClient):
    assert await client.rate(Rating("event", "decision", 1.0, "me"))
    assert not await client.rate(Rating("event", "decision", 1.0, "me"))
    assert await client.rate(Rating("another", "decision", 0.0, "me"))


async def test_a_rating_without_a_decision_is_refused(client: FeedbackClient):
    with pytest.raises(InvalidRequest, match="decision_id"):
        await client.rate(Rating("event", "", 1.0, "me"))


async def test_the_command_line_rates(address: str):
    before = num_applied()
    result = await tiercel("rate", "decision", "0.5", "--rater", "me", "--feedback", address)
    assert (result.exit_code, result.output) == (0, "")
    assert num_applied() == before + 1


@pytest.mark.parametrize(("score", "status"), [("1.5", 2), ("good", 2), ("0.5", 1)])
async def test_a_rating_that_cannot_be_given_is_told(score: str, status: int):
    """The last one is sound, and nobody is there to take it."""
    result = await tiercel("rate", "decision", score, "--feedback", free_address())
    assert result.exit_code == status
    assert result.stderr
    assert isinstance(result.exception, SystemExit)
