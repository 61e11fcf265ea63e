"""A model that comes and goes: no session is dropped, no answer changes."""

import asyncio

import pytest

from tests.speculation.answers import HOT, answer, ask, eventually, plain
from tests.speculation.fleet import Fleet, Models, Replica, Weights
from tiercel.clients.tier import describe, score, set_resident
from tiercel.descriptions import Residency, TierDescription
from tiercel.errors import DeadlineExceeded, ModelUnavailable, TiercelError, Unsupported
from tiercel.scores import ScoreAsk

ASKED = ask("Hello there", ignore_eos=True, **HOT)
_TINY = Weights()


class Loads:
    """Loads a tier's model again, and counts how often."""

    def __init__(self, models: Models, weights: Weights = _TINY) -> None:
        self.number, self._models, self._weights = 0, models, weights

    async def __call__(self):
        self.number += 1
        model, _ = self._models.load("root", self._weights)
        return model


@pytest.fixture
def loads(models: Models) -> Loads:
    return Loads(models)


@pytest.fixture
async def root(fleet: Fleet, loads: Loads) -> Replica:
    return await fleet.model("root", loader=loads)


async def told(fleet: Fleet, root: Replica, *, resident: bool, timeout_s: float = 60.0):
    return await set_resident(fleet.channel(root), resident=resident, timeout_s=timeout_s)


async def described(fleet: Fleet, root: Replica) -> TierDescription:
    return await describe(fleet.channel(root), timeout_s=60.0)


async def test_what_needs_a_model_that_is_away_loads_it(fleet: Fleet, root: Replica, loads: Loads):
    before = await plain(fleet, root, ASKED)
    assert await told(fleet, root, resident=False) is Residency.AWAY
    assert (await described(fleet, root)).residency is Residency.AWAY
    after = await asyncio.gather(*(plain(fleet, root, ASKED) for _ in range(3)))
    assert all(one.same == before.same for one in after)
    assert loads.number == 1, "who waits for one load needs none of his own"
    assert (await described(fleet, root)).residency is Residency.RESIDENT
    await told(fleet, root, resident=False)
    await score(fleet.channel(root), ScoreAsk("Hello", (" there",)), timeout_s=60.0)
    assert loads.number == 2


async def test_it_can_be_had_before_it_is_needed(fleet: Fleet, root: Replica, loads: Loads):
    await told(fleet, root, resident=False)
    assert await told(fleet, root, resident=True) is Residency.RESIDENT
    assert await told(fleet, root, resident=True) is Residency.RESIDENT
    assert loads.number == 1 and (await described(fleet, root)).load_s > 0


async def test_it_leaves_with_the_last_session_only(fleet: Fleet, root: Replica):
    with root.tier.slots.taken():
        with pytest.raises(DeadlineExceeded):
            await told(fleet, root, resident=False, timeout_s=0.3)
        await eventually(lambda: root.tier.residence.state is Residency.RESIDENT)
        leaving = asyncio.create_task(told(fleet, root, resident=False))
        await eventually(lambda: root.tier.residence.state is Residency.LEAVING)
        assert root.tier.runner.is_loaded
    assert await leaving is Residency.AWAY
    assert not root.tier.runner.is_loaded


async def test_a_session_that_comes_while_it_leaves_keeps_it(
    fleet: Fleet, root: Replica, loads: Loads
):
    with root.tier.slots.taken():
        leaving = asyncio.create_task(told(fleet, root, resident=False))
        await eventually(lambda: root.tier.residence.state is Residency.LEAVING)
        await plain(fleet, root, ASKED)
    assert await leaving is Residency.RESIDENT
    assert loads.number == 0


async def test_another_model_is_not_taken_for_it(fleet: Fleet, models: Models):
    root = await fleet.model("root", loader=Loads(models, Weights(seed=3)))
    await told(fleet, root, resident=False)
    for _ in range(2):
        with pytest.raises(TiercelError, match="not the one from before"):
            await plain(fleet, root, ASKED)


async def test_a_model_that_cannot_be_loaded_is_said_to_be(fleet: Fleet):
    async def fails():
        raise ModelUnavailable("the file is gone")

    root = await fleet.model("root", loader=fails)
    await told(fleet, root, resident=False)
    with pytest.raises(TiercelError, match="the file is gone"):
        await plain(fleet, root, ASKED)
    assert (await described(fleet, root)).residency is Residency.AWAY


async def test_a_tier_that_cannot_load_again_keeps_its_model(fleet: Fleet):
    root = await fleet.model("root")
    suffix = await fleet.suffix()
    for replica in (root, suffix):
        with pytest.raises(Unsupported):
            await told(fleet, replica, resident=False)
        assert (await described(fleet, replica)).residency is Residency.UNSPECIFIED


async def test_its_speed_and_its_drafters_are_told(fleet: Fleet, root: Replica):
    twin = await fleet.model("twin")
    assert not (await described(fleet, root)).drafters
    await answer(fleet, root, root.plan(twin.plan(num_speculative_tokens=3)), ASKED)
    about = await described(fleet, root)
    assert about.speed.pass_s > 0 and about.speed.prefill_s_per_token > 0
    [record] = about.drafters
    assert record.drafter == "twin" and record.num_accepted_tokens > 0
    assert record.num_rejected_tokens == 0, "it is the same model"
    assert record.latency_s >= record.draft_s_per_token > 0
