"""Two raters of ten call every good answer bad and every bad one good: what they can move."""

import asyncio
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.feedback.calls import get, report
from tests.feedback.conftest import StartService, Stub
from tests.feedback.outcomes import outcome
from tests.feedback.servers import RedisServer
from tests.feedback.strictness import SETTINGS, audit, certificate
from tiercel import rpc
from tiercel.errors import Unidentified
from tiercel.learning import LearnedPolicy, Rating
from tiercel.types import Plan
from tiercel.wire.feedback import rating_to_pb

RATERS = [f"rater {number}" for number in range(10)]
HOSTILE = RATERS[:2]
TRUTH = {"good": 1.0, "bad": 0.0}
CAP = 10.0


@pytest.fixture
def principals(tmp_path: Path) -> Path:
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in [*RATERS, "router"]}
    file = tmp_path / "principals"
    file.write_text(json.dumps(digests))
    return file


class Asked:
    """A stub's calls under a name's token."""

    def __init__(self, stub: Stub, name: str) -> None:
        self._stub, self._metadata = stub, [("authorization", f"Bearer {name}")]

    async def Report(self, request):
        return await self._stub.Report(request, metadata=self._metadata)

    async def rate(self, event_id: str, decision_id: str, score: float) -> None:
        rating = Rating(event_id, decision_id, score, "whoever")
        await self._stub.Rate(rating_to_pb(rating), metadata=self._metadata)


async def learned(stub: Stub, counts: dict[str, int], hostile: list[str]) -> LearnedPolicy:
    """What is learned after answers, audits, and so many ratings of each rater."""
    most = max(counts.values())
    answers = [
        replace(outcome(), decision_id=f"{root} {number}", plan=Plan(root))
        for root in TRUTH
        for number in range(most)
    ]
    audits = [audit(0.7, harmed=number == 0) for number in range(20)]
    await report(Asked(stub, "router"), *certificate())
    await get(stub)  # running audits count once the service has seen the certificate
    events = [*answers, *audits]
    for start in range(0, len(events), 100):
        await report(Asked(stub, "router"), *events[start : start + 100])

    async def rate(name: str) -> None:
        for number in range(counts[name]):
            root = ("good", "bad")[number % 2]
            score = 1.0 - TRUTH[root] if name in hostile else TRUTH[root]
            await Asked(stub, name).rate(f"{name} {number}", f"{root} {number}", score)

    await asyncio.gather(*map(rate, RATERS))
    return await get(stub)


def scores(policy: LearnedPolicy) -> dict[str, float]:
    return {one.root: one.mean for one in policy.qualities}


@pytest.fixture
async def settled(valkey: RedisServer, start_service: StartService, principals: Path):
    """What is learned in a fresh store, with a cap or as good as without one."""

    async def settled(
        name: str, counts: dict[str, int], hostile: list[str], cap: float = CAP
    ) -> LearnedPolicy:
        stub = await start_service(
            valkey.url,
            namespace=name,
            principals_file=principals,
            max_rater_weight=cap,
            drift_run_length=0.0,
            **SETTINGS | {"min_judged_tokens": 50},
        )
        return await learned(stub, counts, hostile)

    return settled


async def test_a_fifth_of_hostile_votes_moves_neither_harm_nor_goodput(settled):
    even = dict.fromkeys(RATERS, 10)
    honest, hostile = await settled("honest", even, []), await settled("hostile", even, HOSTILE)
    of_rule, same = honest.strictness[0], hostile.strictness[0]
    for field in ("strictness", "target_divergence", "num_audits", "num_harmed", "harm_bound"):
        assert getattr(of_rule, field) == getattr(same, field)
    assert of_rule.certified and same.certified and same.num_harmed == 1
    for before, after in zip(honest.pairs, hostile.pairs, strict=True):
        assert before.num_speculative_tokens == after.num_speculative_tokens > 0
        assert before.acceptance_rate == pytest.approx(after.acceptance_rate, rel=1e-6)
    # What they move is the quality of roots: by no more than their share of the votes.
    for root, score in scores(honest).items():
        assert 0.05 < abs(scores(hostile)[root] - score) <= 0.2


async def test_votes_in_masses_count_for_little_with_a_cap_and_decide_without_one(settled):
    masses = {name: 80 if name in HOSTILE else 10 for name in RATERS}
    capped = await settled("capped", masses, HOSTILE)
    free = await settled("free", masses, HOSTILE, cap=1e9)
    # Of at most 2 x 10 each beside 80 honest ones.
    share = 2 * 2 * CAP / (2 * 2 * CAP + 80)
    prior = 2 / (2 * CAP + 40)  # of half the score, in each root
    for root, score in scores(capped).items():
        assert abs(score - TRUTH[root]) <= share + prior
    assert scores(capped)["good"] > 0.6 and scores(capped)["bad"] < 0.4
    assert scores(free)["good"] < 0.4 and scores(free)["bad"] > 0.6


async def test_who_has_no_token_moves_nothing(
    valkey: RedisServer, start_service: StartService, principals: Path
):
    stub = await start_service(valkey.url, principals_file=principals)
    with pytest.raises(Unidentified), rpc.translated():
        await Asked(stub, "nobody").rate("e", "good 0", 0.0)
    assert (await get(stub)).qualities == ()
