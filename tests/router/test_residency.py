"""A machine with room for one of two models: demand says which, and no session is dropped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.router import watching
from services.router.residency.keeping import MemoryKeeper
from tests.router.routers import configuration_file, eventually, reply, request, routing
from tests.speculation.conftest import fleet, models  # noqa: F401 - fixtures
from tests.speculation.fleet import Fleet, Models, Replica, Weights
from tiercel.clients.router import RouterClient
from tiercel.clients.tier import set_resident
from tiercel.descriptions import Residency
from tiercel.replies import Committed
from tiercel.speculation.model_tier import ModelTier

WEIGHTS = {"small": Weights(noise=0.05), "large": Weights()}
MACHINE = '\n[machines.one]\nmemory_gb = 1.5\ntiers = ["small", "large"]\n'


class Loads:
    """Loads a tier's model again, and counts how often."""

    def __init__(self, models: Models, name: str) -> None:  # noqa: F811
        self.number, self._models, self._name = 0, models, name

    async def __call__(self):
        self.number += 1
        await asyncio.sleep(0.05)  # it has a price
        return self._models.load(self._name, WEIGHTS[self._name])[0]


@pytest.fixture(autouse=True)
def patient_looks(monkeypatch):
    """On a busy machine a replica is late, not gone."""
    monkeypatch.setattr(watching, "_TIMEOUT_S", 60.0)


@pytest.fixture
async def running(fleet: Fleet, models: Models) -> dict[str, Replica]:  # noqa: F811
    """Two tiers whose loading took alike."""
    options = {"tier_class": ModelTier, "heartbeat_s": 30.0}
    found = {}
    for name, weights in WEIGHTS.items():
        loader = Loads(models, name)
        found[name] = await fleet.model(name, weights, loader=loader, **options)
        for resident in (False, True):
            await set_resident(fleet.channel(found[name]), resident=resident, timeout_s=60.0)
        found[name].loads, loader.number = loader, 0
    return found


@asynccontextmanager
async def budgeted(folder: Path, running: dict[str, Replica]) -> AsyncIterator[RouterClient]:
    """A router that knows a machine with room for one of two models of a gigabyte."""
    places = {name: [replica.address] for name, replica in running.items()}
    file = configuration_file(folder, places, {name: name for name in running})
    text = Path(file).read_text().replace("service =", "memory_gb = 1.0\nservice =")
    Path(file).write_text(text + MACHINE)
    async with routing(file, heartbeat_s=30.0, keep_loaded_s=0.0, poll_s=0.05) as client:
        yield client


def state(replica: Replica) -> Residency:
    return replica.tier.residence.state


async def wanted(client: RouterClient, plan: str, running: dict[str, Replica], looks) -> None:
    """Ask for a plan until its model is what the memory is kept for, also when nobody asks."""
    others = [replica for name, replica in running.items() if name != plan]
    async with asyncio.timeout(120):
        while True:
            for _ in range(10):
                await reply(client, request(plan=plan, max_new_tokens=2))
            await looks.two_more()
            if all(state(replica) is Residency.AWAY for replica in others):
                return


@pytest.fixture
def looks(monkeypatch):
    """Counts how often memory was arranged; with what fades alike the second says what stays."""

    class Looks:
        number = 0

        async def two_more(self) -> None:
            # One may have begun before whatever is waited for.
            wanted = self.number + 2
            await eventually(lambda: self.number >= wanted)

    counted, arrange = Looks(), MemoryKeeper.arrange

    async def counting(keeper: MemoryKeeper, name: str) -> None:
        await arrange(keeper, name)
        counted.number += 1

    monkeypatch.setattr(MemoryKeeper, "arrange", counting)
    return counted


async def test_demand_says_which_of_two_models_is_in_memory(running, tmp_path, looks) -> None:
    async with budgeted(tmp_path, running) as client:
        await eventually(lambda: state(running["large"]) is Residency.AWAY)
        assert state(running["small"]) is Residency.RESIDENT, "the default plan's, to begin with"
        cold = await reply(client, request(plan="large"))
        assert running["large"].loads.number == 1
        await wanted(client, "large", running, looks)
        warm = await reply(client, request(plan="large"))
        assert cold.token_ids == warm.token_ids and cold.finished.exact
        seen = {one.tier: one.description.residency for one in (await client.tiers()).replicas}
        assert seen["small"] is Residency.AWAY
        await wanted(client, "small", running, looks)
        await eventually(lambda: gauge("resident_bytes", machine="one") == 1e9)
    changes = {"tier": "small", "state": "away"}
    assert gauge("residency_changes_total", **changes) >= 1


async def test_what_is_missed_is_loaded_before_it_is_asked_for(running, tmp_path, looks) -> None:
    async with budgeted(tmp_path, running) as client:
        await wanted(client, "large", running, looks)
        for _ in range(100):  # it must be worth more than the other also when neither is there
            await reply(client, request(plan="large", max_new_tokens=2))
        number = running["large"].loads.number
        await set_resident_by_hand(running["large"], resident=False)
        await eventually(lambda: state(running["large"]) is Residency.RESIDENT)
        assert running["large"].loads.number == number + 1


async def set_resident_by_hand(replica: Replica, *, resident: bool) -> None:
    await replica.tier.residence.set(resident=resident)


async def test_a_model_with_a_session_stays(running, tmp_path, looks) -> None:
    small, large = running["small"], running["large"]
    async with budgeted(tmp_path, running) as client:
        await eventually(lambda: state(large) is Residency.AWAY)
        with small.tier.slots.taken():
            async with asyncio.timeout(60):
                while not await num_sessions(client, "small"):
                    await asyncio.sleep(0.02)
            for _ in range(20):
                await reply(client, request(plan="large"))
                assert state(small) is Residency.RESIDENT and small.tier.runner.is_loaded
        await wanted(client, "large", running, looks)


async def test_an_answer_under_way_is_not_disturbed(running, tmp_path, looks) -> None:
    async with budgeted(tmp_path, running) as client:
        long = request(plan="small", max_new_tokens=200, ignore_eos=True)
        undisturbed = await reply(client, long)
        token_ids, shifting = [], None
        async for event in client.generate(long):
            if isinstance(event, Committed):
                token_ids += event.token_ids
                shifting = shifting or asyncio.create_task(wanted(client, "large", running, looks))
        assert shifting is not None
        await shifting
        assert token_ids == undisturbed.token_ids and len(token_ids) == 200
        assert not running["small"].tier.runner.is_loaded


async def num_sessions(client: RouterClient, tier: str) -> int:
    """How many the router knows of."""
    replicas = (await client.tiers()).replicas
    return next(one.description.num_sessions for one in replicas if one.tier == tier)


def gauge(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"tiercel_router_{name}", labels) or 0.0
