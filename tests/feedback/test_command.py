"""`tiercel feedback` beside a running service: what is learned, and what is done about it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from services.feedback.__main__ import opening
from services.feedback.settings import Settings
from tests.addresses import free_address
from tests.feedback.outcomes import outcome
from tests.feedback.servers import RedisServer
from tests.feedback.strictness import certifying
from tests.feedback.test_events import answered
from tests.feedback.trials import both, shadow, tried
from tiercel import rpc
from tiercel.cli.__main__ import app
from tiercel.clients.feedback import FeedbackClient


@pytest.fixture
async def address(valkey: RedisServer) -> AsyncIterator[str]:
    settings = Settings(redis_url=SecretStr(valkey.url), min_judged_tokens=50)
    async with rpc.server(opening(settings), "localhost:0") as port:
        client = FeedbackClient(f"localhost:{port}")
        await client.report([outcome(), answered("d")])
        yield f"localhost:{port}"
        await client.close()


async def tiercel(address: str, *arguments: str) -> Result:
    """Run `tiercel feedback` beside the service of this loop."""
    words = ("feedback", *arguments, "--feedback", address)
    return await asyncio.to_thread(CliRunner().invoke, app, words)


async def done(address: str, *arguments: str) -> str:
    result = await tiercel(address, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


async def test_what_is_learned_is_shown(address: str):
    told = await done(address, "show")
    assert "version 2 of epoch" in told and "learning" in told
    [row] = [line.split() for line in told.splitlines() if line.startswith("draft ")]
    assert row[:2] == ["draft", "target"] and "0.900" in row
    assert json.loads(await done(address, "show", "--json"))["pairs"][0]["drafter"] == "draft"


async def test_strictness_is_shown_with_whether_it_is_certified(address: str):
    client = FeedbackClient(address)
    await client.report([certifying(0.95)])
    await client.close()
    [row] = [
        line.split() for line in (await done(address, "show")).splitlines() if "lenient" in line
    ]
    assert row == ["lenient", "0.950", "no", "0.0000", "-", "1", "0.974"]


async def test_an_operator_freezes_and_rolls_back(address: str):
    assert await done(address, "freeze", "--reason", "an incident") == "version 3\n"
    assert "frozen: an incident" in await done(address, "show")
    await done(address, "thaw")
    assert await done(address, "reset", "pairs") == "version 5\n"
    assert "draft" not in await done(address, "show")
    assert await done(address, "rollback", "4") == "version 6\n"
    assert "0.900" in await done(address, "show")
    actions = [change["action"] for change in json.loads(await done(address, "history", "--json"))]
    assert actions == ["rolled back", "reset", "thawed", "frozen"]
    assert "an incident" in await done(address, "history")


async def test_what_is_learned_is_written_and_read(address: str, tmp_path: Path):
    file = tmp_path / "learned.jsonl"
    file.write_text(await done(address, "export"))
    await done(address, "reset")
    assert "draft" not in await done(address, "show")
    await done(address, "import", str(file))
    assert "0.900" in await done(address, "show")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("rollback", "77"), "version 77"),
        (("reset", "everything"), "what"),
        (("import", "/nowhere"), "cannot be read"),
        (("freeze", "--token-file", "/nowhere"), "cannot be read"),
    ],
)
async def test_what_cannot_be_done_is_one_line(address: str, arguments: tuple[str, ...], told: str):
    result = await tiercel(address, *arguments)
    assert result.exit_code == 1
    assert told in result.stderr and len(result.stderr.splitlines()) == 1


async def test_without_a_service_it_says_so():
    result = await tiercel(free_address(), "show")
    assert result.exit_code == 1 and result.stderr.startswith("tiercel: ")


async def test_trials_are_shown_and_begun_anew(address: str):
    client = FeedbackClient(address)
    await client.report([*both(5), *(tried(failure="Unavailable") for _ in range(60)), shadow(0.5)])
    await client.close()
    told = await done(address, "show")
    assert "rolled back: failure is worse than that of static" in " ".join(told.split())
    assert "utility in the shadow: odds of 0.500 for what was taken in 1 requests" in told
    [row] = [
        line.split() for line in told.splitlines() if "failure" in line and "rolled" not in line
    ]
    assert row[:4] == ["utility", "failure", "0.923", "0.000"]
    [trial] = json.loads(await done(address, "show", "--json"))["trials"]
    assert (trial["num_requests"], trial["num_incumbent"]) == (65, 5)
    await done(address, "reset", "trials", "--reason", "repaired")
    assert "trials" not in await done(address, "show")
