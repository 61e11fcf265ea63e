"""What feedback is told of requests that got no whole answer."""

import json
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest

from services.router.learning.spool import Spool
from tests.addresses import free_address
from tests.router.routers import configuration_file, eventually, reply, request, settled
from tests.router.scripted_tier import Script, serving
from tiercel.errors import ModelFault, Unavailable
from tiercel.learning import Event, Outcome
from tiercel.replies import Committed
from tiercel.types import Usage


class Told:
    """A router whose feedback is away: what it would tell waits on disk."""

    def __init__(self, folder: Path) -> None:
        self._log, self._state = folder / "log.jsonl", folder / "state"
        self.settings = {
            "feedback": free_address(),
            "state_dir": self._state,
            "decision_log": str(self._log),
        }

    @property
    def has_logged(self) -> bool:
        return self._log.exists() and bool(self._log.read_text())

    def events(self) -> list[Event]:
        """What waits, once the router has ended."""
        spool = Spool(self._state / "outcomes.sqlite", 100)
        found = spool.oldest(10)
        spool.close()
        return found

    def failure(self) -> Outcome:
        """The one outcome, of which nothing else is learned."""
        [line] = [json.loads(line) for line in self._log.read_text().splitlines()]
        [outcome] = self.events()
        assert isinstance(outcome, Outcome)
        assert (outcome.failure, outcome.decision_id) == (line["reason"], line["decision_id"])
        assert (outcome.plan_name, outcome.policy, outcome.propensity) == ("only", "static", 1.0)
        usage = outcome.usage
        assert usage.total_s > 0
        assert usage == Usage(0, 0, total_s=usage.total_s)
        return outcome


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


async def test_a_request_that_a_model_fails_in(told: Told, tmp_path: Path):
    async with AsyncExitStack() as stack:
        script = Script(fault="fault")
        address = await stack.enter_async_context(serving(script))
        config = configuration_file(tmp_path, {"target": [address]}, {"only": "target"})
        client = await settled(stack, config, **told.settings)
        with pytest.raises(ModelFault):
            await reply(client, request(kind="maths", session_id="s"))
    outcome = told.failure()
    assert (outcome.failure, outcome.kind, outcome.session_id) == ("ModelFault", "maths", "s")


async def test_a_request_that_no_root_takes(told: Told, tmp_path: Path):
    async with AsyncExitStack() as stack:
        config = configuration_file(tmp_path, {"target": [free_address()]}, {"only": "target"})
        client = await settled(stack, config, away=["target"], max_outage_s=0.05, **told.settings)
        with pytest.raises(Unavailable):
            await reply(client, request())
    assert told.failure().failure == "Unavailable"


async def test_a_request_whose_caller_goes_away(told: Told, tmp_path: Path):
    async with AsyncExitStack() as stack:
        script = Script(fault="silent")
        address = await stack.enter_async_context(serving(script))
        config = configuration_file(tmp_path, {"target": [address]}, {"only": "target"})
        client = await settled(stack, config, **told.settings)
        async with aclosing(client.generate(request())) as events:
            async for event in events:
                if isinstance(event, Committed):
                    break
        await eventually(lambda: told.has_logged)
        script.goes_on.set()
    assert told.failure().failure == "cancelled"


async def test_an_answer_that_is_whole_says_of_no_failure(told: Told, tmp_path: Path):
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serving(Script()))
        config = configuration_file(tmp_path, {"target": [address]}, {"only": "target"})
        client = await settled(stack, config, **told.settings)
        await reply(client, request())
    [outcome] = told.events()
    assert isinstance(outcome, Outcome)
    assert (outcome.failure, outcome.trial, outcome.shadows) == ("", None, ())
    assert outcome.usage.num_completion_tokens == 12
