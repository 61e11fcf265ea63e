"""`tiercel feedback refused`: what a service refused is listed, and sent again after a fix."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.feedback.__main__ import opening
from services.feedback.settings import Settings
from services.router.learning.outcomes import OutcomeReporter
from tests.addresses import free_address
from tests.feedback.outcomes import outcome
from tests.feedback.servers import RedisServer
from tests.feedback.test_command import tiercel
from tests.router.routers import eventually
from tiercel import rpc
from tiercel.clients.feedback import FeedbackClient
from tiercel.dead_letters import FILE, DeadLetter, DeadLetters
from tiercel.errors import InvalidRequest
from tiercel.learning import LearnedPolicy, Outcome

BAD = replace(outcome(), event_id="bad", kind="k" * 200)
GOOD = replace(outcome(), event_id="good")


@pytest.fixture
async def address(valkey: RedisServer):
    """A service that has learned nothing."""
    settings = Settings(redis_url=SecretStr(valkey.url), min_judged_tokens=50)
    async with rpc.server(opening(settings), "localhost:0") as port:
        yield f"localhost:{port}"


async def reported(address: str, folder: Path, *events: Outcome) -> None:
    """Have a router's reporter tell a service, and wait until it has refused some."""
    client = FeedbackClient(address)
    letters = DeadLetters(folder / FILE)
    reporter = OutcomeReporter(None, letters)
    async with reporter.reporting(client):
        for event in events:
            reporter.put(event)
        await eventually(lambda: bool(letters.lines()))
    await client.close()


async def learned(address: str) -> LearnedPolicy:
    client = FeedbackClient(address)
    policy = await client.policy()
    await client.close()
    return policy


def mended(folder: Path) -> None:
    """What somebody does who sees what is wrong."""
    file = folder / FILE
    file.write_text(file.read_text().replace("k" * 200, "maths"))


async def test_what_was_refused_is_listed_with_the_reason(address: str, tmp_path: Path):
    await reported(address, tmp_path, GOOD, BAD)
    told = await tiercel("nowhere:1", "refused", str(tmp_path))
    assert told.exit_code == 0
    [row] = [line for line in told.stdout.splitlines() if " outcome " in line]
    assert " bad " in row and "outcomes[0].kind" in row
    [one] = json.loads((await tiercel("nowhere:1", "refused", str(tmp_path), "--json")).stdout)
    assert (one["event"], one["id"]) == ("outcome", "bad") and one["at"].startswith("20")


async def test_it_is_sent_again_after_a_fix_and_counts_once(address: str, tmp_path: Path):
    await reported(address, tmp_path, BAD)
    (tmp_path / f"{FILE}.old").write_text(half := '{"at": 17, "prob\n')
    before = await learned(address)
    again = await tiercel(address, "refused", str(tmp_path), "--send-again")
    assert (again.exit_code, again.stdout) == (1, "0 sent, 2 refused again\n")
    assert (await learned(address)) == before
    mended(tmp_path)
    # Twice the same event, as of somebody who put a copy back.
    file = tmp_path / FILE
    file.write_text(file.read_text().replace(half, "") * 2)
    again = await tiercel(address, "refused", str(tmp_path), "--send-again")
    assert (again.exit_code, again.stdout) == (0, "2 sent, 0 refused again\n")
    pairs = [(pair.kind, pair.num_judged_tokens) for pair in (await learned(address)).pairs]
    judged = sum((BAD.usage.pairs[0].num_accepted_tokens, BAD.usage.pairs[0].num_rejected_tokens))
    assert pairs == [("", judged), ("maths", judged)]
    assert list(tmp_path.iterdir()) == []
    told = await tiercel(address, "refused", str(tmp_path))
    assert told.exit_code == 0 and "0 refused" in told.stdout


async def test_nothing_is_lost_while_feedback_is_away(address: str, tmp_path: Path):
    await reported(address, tmp_path, BAD)
    mended(tmp_path)
    held = (tmp_path / FILE).read_text()
    told = await tiercel(free_address(), "refused", str(tmp_path), "--send-again")
    assert told.exit_code == 1 and len(told.stderr.splitlines()) == 1
    assert (tmp_path / FILE).read_text() == held


async def test_a_file_that_somebody_died_over_is_sent_too(address: str, tmp_path: Path):
    letters = DeadLetters(tmp_path / FILE)
    letters.put([GOOD], "no token")
    next(taking := letters.taken())
    assert not (tmp_path / FILE).exists() and len(letters.lines()) == 1
    letters.put([replace(GOOD, event_id="later")], "no token")
    assert len(letters.lines()) == 2
    told = await tiercel(address, "refused", str(tmp_path), "--send-again")
    assert told.stdout == "2 sent, 0 refused again\n"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        taking.close()


async def test_a_folder_that_is_none_is_one_line(tmp_path: Path):
    told = await tiercel("nowhere:1", "refused", str(tmp_path / "none"))
    assert told.exit_code == 1 and "is no folder" in told.stderr


def test_what_is_given_back_pushes_nothing_out(tmp_path: Path):
    letters = DeadLetters(tmp_path / FILE, max_bytes=10)
    letters.put([GOOD], "first")
    letters.put([GOOD], "second")
    lines = letters.lines()
    letters.give_back(lines)
    assert letters.lines() == [*lines, *lines]
    assert [DeadLetter.read(line).problem for line in lines] == ["first", "second"]
    with pytest.raises(InvalidRequest):
        DeadLetter.read('["no", "letter"]')
