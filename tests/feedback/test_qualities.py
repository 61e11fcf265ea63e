"""What ratings say beside what was predicted, and of which answers, on a real server."""

from dataclasses import replace

import pytest

from services.feedback.store import Store
from tests.feedback.calls import get, report
from tests.feedback.conftest import OpenStore, StartService
from tests.feedback.servers import RedisServer
from tests.feedback.test_events import LONG, answered, cells_of
from tiercel.learning import Rating
from tiercel.types import Acceptance, Plan, Rule
from tiercel.v1 import feedback_pb2 as pb
from tiercel.wire.feedback import rating_to_pb


async def test_ratings_are_held_against_what_was_predicted(
    valkey: RedisServer, start_service: StartService
):
    stub = await start_service(valkey.url, half_life_s=1e9, rating_half_life_s=1e9)

    async def rated(name: str, score: float) -> None:
        await stub.Rate(rating_to_pb(Rating(f"r{name}", name, score, "me")))

    await rated("early", 0.5)
    for name, predicted in (("early", 0.9), ("late", 0.7), ("blind", None)):
        await report(stub, answered(name, predicted_quality=predicted))
    await rated("late", 0.6)
    await rated("blind", 1.0)
    [found] = (await get(stub)).qualities
    assert (found.num_ratings, found.num_predicted) == pytest.approx((3, 2), rel=1e-6)
    assert found.excess == pytest.approx(((0.5 - 0.9) + (0.6 - 0.7)) / 2)
    assert found.mean == pytest.approx((2.1 + 2) / 7)


async def test_ratings_of_a_lossy_answer_or_of_another_root_say_nothing_of_this_one(
    valkey: RedisServer, start_service: StartService
):
    stub = await start_service(valkey.url, rating_half_life_s=1e9)
    lossy = Plan("target", acceptance=Acceptance(Rule.LENIENT, 0.7), drafters=(Plan("draft"),))
    plans = {"exact": Plan("target"), "lossy": lossy, "other": Plan("other")}
    other = replace(lossy, acceptance=Acceptance(Rule.LENIENT, 0.5))
    for name, plan in (plans | {"laxer": other}).items():
        await report(stub, replace(answered(name), plan=plan))
    for number, name in enumerate(["exact", "lossy", "laxer", "laxer", "other"]):
        rating = Rating(f"r{number}", name, float(name == "exact"), f"rater{number}")
        await stub.Rate(rating_to_pb(rating))
    found = {one.root: one for one in (await get(stub)).qualities}
    assert {name: round(one.num_ratings) for name, one in found.items()} == {
        "target": 1,
        "target{lenient}": 3,
        "other": 1,
    }
    assert found["target"].mean > 0.5 > found["other"].mean > found["target{lenient}"].mean
    await stub.Reset(pb.ResetRequest(what="qualities"))
    assert (await get(stub)).qualities == ()


async def test_what_was_kept_of_a_decision_before_there_were_predictions_is_still_rated(
    valkey: RedisServer, open_store: OpenStore
):
    """An outcome of an older feedback service, whose decision is rated only now."""
    store: Store = open_store(valkey.url, LONG)
    await store.apply([answered("d")])
    await store.rate(Rating("r", "d", 0.25, "me"))
    [sums] = [sums for cell, sums in (await cells_of(store)).items() if "ratings" in sums]
    assert sums == pytest.approx({"ratings": 1, "score": 0.25, "squares": 0.0625}, rel=1e-6)
