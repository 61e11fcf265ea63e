"""What is learned from scores, audits, ratings and speeds, on real servers."""

import math
from dataclasses import replace

import pytest

from services.feedback.cells import Cell, Snapshot
from services.feedback.estimates import Estimator
from services.feedback.qualities import root_qualities
from services.feedback.speeds import load_band, quantile, speed_sums
from services.feedback.store import Memory, Store
from tests.feedback.calls import get, report
from tests.feedback.conftest import OpenStore, StartService
from tests.feedback.outcomes import outcome
from tests.feedback.servers import RedisServer
from tiercel import rpc
from tiercel.errors import InvalidRequest
from tiercel.learning import Audit, DraftScore, Outcome, Rating
from tiercel.rules import RuleUse
from tiercel.types import Plan, Rule, TierStats, Usage
from tiercel.v1 import feedback_pb2
from tiercel.wire.feedback import report_to_pb

LONG = Memory(half_life_s=1e9, rating_half_life_s=1e9)
PLAN = Plan("target")
SCORE = DraftScore("s", "d", "maths", "idle", "target", 30, 10)
AUDIT = Audit("a", "d", "maths", Rule.LENIENT, 0.5, 0.25, True, "score", loss=1.0, certifying=True)


def answered(decision_id: str, *, kind: str = "", **changes) -> Outcome:
    return replace(outcome(kind=kind), decision_id=decision_id, plan=PLAN, **changes)


async def cells_of(store: Store) -> dict[Cell, dict[str, float]]:
    found = await store.read()
    assert found is not None
    return found.cells


async def test_an_idle_drafter_is_judged_by_its_score(redis: RedisServer, open_store: OpenStore):
    store = open_store(redis.url, LONG)
    assert await store.apply([SCORE, SCORE]) == [True, False]
    cells = await cells_of(store)
    for kind in ("", "maths"):
        sums = cells[Cell.of_pair("idle", "target", kind)]
        assert (sums["accepted"], sums["rejected"]) == (30, 10)


async def test_audits_count_by_level_while_they_certify_and_by_rule_after_that(
    redis: RedisServer, open_store: OpenStore
):
    store = open_store(redis.url, Memory(half_life_s=0.001))
    later = replace(AUDIT, event_id="b", harmed=False)
    await store.apply([AUDIT, later, replace(later, event_id="c", certifying=False)])
    cells = await cells_of(store)
    level = cells[Cell.of_level("lenient", 0.5, "maths")]
    assert (level["audits"], level["harmed"], level["divergence"]) == (2, 1, 0.5)
    assert cells[Cell.of_rule("lenient", "")]["audits"] == 1
    assert cells[Cell.of_rule("lenient", "")]["harmed"] == 0


async def test_divergence_comes_with_every_outcome(valkey: RedisServer, open_store: OpenStore):
    store = open_store(valkey.url, LONG)
    use = RuleUse(Rule.LENIENT, 0.5, num_compared_tokens=40, num_divergent_tokens=4)
    nothing = RuleUse(Rule.LENIENT, 0.5)
    await store.apply([answered("d1", rule_use=use), answered("d2", rule_use=nothing)])
    sums = (await cells_of(store))[Cell.of_rule("lenient", "")]
    assert (sums["answers"], sums["divergence"]) == pytest.approx((1, 0.1), rel=1e-6)


async def test_a_rating_is_learned_from_before_and_after_its_outcome(
    redis: RedisServer, open_store: OpenStore
):
    store = open_store(redis.url, LONG)
    await store.rate(Rating("r1", "d", 1.0, "early"))
    assert Cell.of_quality("target", "") not in await cells_of(store)
    await store.apply([answered("d", kind="maths")])
    await store.rate(Rating("r2", "d", 0.5, "late"))
    await store.rate(Rating("r3", "d", 0.0, "late"))  # again: learned from once
    for kind in ("", "maths"):
        sums = (await cells_of(store))[Cell.of_quality("target", kind)]
        found = [sums[name] for name in ("ratings", "score", "squares")]
        assert found == pytest.approx([2, 1.5, 1.25], rel=1e-6)


async def test_a_rater_who_rates_without_end_is_not_heard_without_end(
    redis: RedisServer, open_store: OpenStore
):
    store = open_store(redis.url, replace(LONG, max_ratings_per_rater=5))
    for number in range(20):
        await store.apply([answered(f"d{number}")])
        await store.rate(Rating(f"r{number}", f"d{number}", 0.0, "hostile"))
    await store.rate(Rating("honest", "d0", 1.0, "somebody"))
    sums = (await cells_of(store))[Cell.of_quality("target", "")]
    assert (sums["ratings"], sums["score"]) == pytest.approx((6, 1), rel=1e-6)


def test_qualities_are_drawn_to_what_is_known_of_all_kinds():
    cells = {
        Cell.of_quality("target", ""): {"ratings": 96.0, "score": 72.0},
        Cell.of_quality("target", "maths"): {"ratings": 4.0, "score": 0.0},
    }
    whole, maths = root_qualities(cells)
    assert whole.mean == pytest.approx((72 + 2) / 100)
    assert maths.mean == pytest.approx((0 + 4 * whole.mean) / 8)
    for one in (whole, maths):
        assert 0 <= one.lower < one.mean < one.upper <= 1
    assert maths.upper - maths.lower > whole.upper - whole.lower


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95, 0.99])
def test_quantiles_are_good_to_five_percent_and_merged_by_adding(share: float):
    seconds = [0.002 * 1.01**number for number in range(700)]
    sums: dict[str, float] = {}
    for one in seconds:
        usage = Usage(1, 1, tiers=(TierStats("t"),), time_to_first_token_s=one)
        for name, value in speed_sums("t", usage).items():
            sums[name] = sums.get(name, 0.0) + value
    exact = seconds[math.ceil(share * len(seconds)) - 1]
    assert quantile(sums, share) == pytest.approx(exact, rel=0.05)
    assert sums["requests"] == 700


def test_an_answer_that_never_came_says_nothing_of_speed():
    assert speed_sums("t", Usage(1, 0, tiers=(TierStats("t"),))) == {}
    assert speed_sums("t", Usage(1, 1, time_to_first_token_s=1.0)) == {}
    assert quantile({}, 0.5) == 0.0
    assert [load_band(number) for number in (0, 1, 3, 4, 100)] == [0, 1, 2, 4, 32]


def test_speeds_are_told_by_load():
    tier = TierStats("target", num_prompt_tokens=100, num_cached_prompt_tokens=50, prefill_s=0.1)
    sums = speed_sums("target", Usage(100, 9, tiers=(tier,), time_to_first_token_s=0.2))
    cells = {
        Cell.of_speed("target", 4): {name: 9 * value for name, value in sums.items()},
        Cell.of_speed("target", 8): sums,
        Cell.of_tier("target", ""): {
            "passes": 10.0,
            "pass_s": 0.5,
            "width": 10.0,
            "width_squared": 10.0,
            "width_s": 0.5,
        },
    }
    [told] = Estimator().policy(Snapshot("e", 1, cells)).tiers
    assert (told.tier, told.min_outstanding, told.num_requests) == ("target", 4, 9)
    assert told.prefill_s_per_token == pytest.approx(0.002)
    assert told.pass_s == pytest.approx(0.05)
    assert told.first_token_p50_s == told.first_token_p95_s == pytest.approx(0.2, rel=0.05)


async def test_the_service_takes_events_of_all_sorts(
    valkey: RedisServer, start_service: StartService
):
    stub = await start_service(valkey.url)
    assert await report(stub, answered("d"), SCORE, AUDIT) == (3, 0)
    assert await report(stub, SCORE, replace(AUDIT, event_id="b")) == (1, 1)
    assert (await get(stub)).version == 4


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("draft_scores.0.drafter", "", "draft_scores[0].drafter"),
        ("draft_scores.0.event_id", "", "draft_scores[0].event_id"),
        ("audits.0.strictness", 1.5, "audits[0].strictness"),
        ("audits.0.divergence", math.nan, "audits[0].divergence"),
        ("audits.0.loss", math.inf, "audits[0].loss"),
        ("audits.0.method", "hearsay", "audits[0].method"),
        ("audits.0.rule", 99, "audits[0].rule"),
        ("outcomes.0.rule_use.num_divergent_tokens", 50, "outcomes[0].rule_use.num_divergent"),
        ("outcomes.0.rule_use.strictness", -1.0, "outcomes[0].rule_use.strictness"),
        ("outcomes.0.session_id", "s" * 129, "outcomes[0].session_id"),
    ],
)
async def test_what_may_not_be_learned_from_is_refused_by_name(
    valkey: RedisServer, start_service: StartService, path: str, value: object, named: str
):
    use = RuleUse(Rule.LENIENT, 0.5, num_compared_tokens=40, num_divergent_tokens=4)
    request = report_to_pb([answered("d", rule_use=use), SCORE, AUDIT])
    *steps, last = path.split(".")
    target = request
    for step in steps:
        target = target[int(step)] if step.isdigit() else getattr(target, step)
    setattr(target, last, value)
    stub = await start_service(valkey.url)
    with pytest.raises(InvalidRequest) as refused, rpc.translated():
        await stub.Report(request)
    assert refused.value.field.startswith(named)
    assert (await get(stub)).version == 0


async def test_too_many_of_one_sort_are_refused(valkey: RedisServer, start_service: StartService):
    stub = await start_service(valkey.url)
    request = feedback_pb2.ReportRequest(
        draft_scores=[feedback_pb2.DraftScore(event_id="e") for _ in range(257)]
    )
    with pytest.raises(InvalidRequest, match="draft_scores=257"), rpc.translated():
        await stub.Report(request)
