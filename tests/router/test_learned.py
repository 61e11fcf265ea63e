"""The router beside the real feedback service: outcomes go there, what is learned comes back."""

import asyncio
import hashlib
import json
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.feedback.__main__ import opening
from services.feedback.settings import Settings
from services.router import metrics
from services.router.learning import outcomes
from services.router.learning.outcomes import OutcomeReporter
from tests.addresses import free_address
from tests.router.routers import configuration_file, eventually, reply, request, routing
from tests.router.scripted_tier import Script, answer, serving
from tiercel import rpc
from tiercel.clients.feedback import FeedbackClient
from tiercel.errors import InvalidRequest, Unavailable
from tiercel.learning import Outcome, Rating
from tiercel.types import Usage
from tiercel.v1 import decoding_pb2

PLANS = {"open": "target <- draft", "written": "target <- draft:5"}
MS = 1_000_000


def drafter_that_never_agrees() -> Script:
    """A target whose drafter costs as much as itself and is always rejected."""
    pair = decoding_pb2.PairStats(
        drafter="draft",
        verifier="target",
        num_drafts=100,
        num_draft_tokens=400,
        num_rejected_tokens=100,
        draft_compute_ns=400 * 20 * MS,
    )
    return Script(pairs=[pair], compute_ns=12 * 20 * MS)


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


async def feedback_at(stack: AsyncExitStack, address: str, folder: str, **more) -> None:
    settings = Settings(
        data_dir=Path(folder), min_judged_tokens=10, poll_s=0.2, push_interval_s=0.1, **more
    )
    await stack.enter_async_context(rpc.server(opening(settings), address))


async def number_for(client, plan: str) -> int:
    decision = await client.route(request(plan=plan))
    return decision.plan.drafters[0].num_speculative_tokens


async def until_number(client, plan: str, number: int) -> None:
    async with asyncio.timeout(90):
        while await number_for(client, plan) != number:
            await asyncio.sleep(0.1)


async def test_what_is_learned_is_used_where_nothing_is_written_and_outlives_feedback(
    stack, tmp_path
):
    target = await stack.enter_async_context(serving(drafter_that_never_agrees()))
    draft = await stack.enter_async_context(serving(Script(tier="draft")))
    config = configuration_file(tmp_path, {"target": [target], "draft": [draft]}, PLANS)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tr-"))
    address = free_address()
    service = await stack.enter_async_context(AsyncExitStack())
    await feedback_at(service, address, folder)
    client = await stack.enter_async_context(routing(config, feedback=address))
    assert await number_for(client, "open") == 4
    for _ in range(3):
        await reply(client, request())
    await until_number(client, "open", 0)
    assert await number_for(client, "written") == 5
    await service.aclose()
    assert (await reply(client, request())).token_ids == answer(5, 12)
    assert await number_for(client, "open") == 0


async def test_feedback_that_comes_late_is_followed(stack, tmp_path):
    target = await stack.enter_async_context(serving(drafter_that_never_agrees()))
    draft = await stack.enter_async_context(serving(Script(tier="draft")))
    config = configuration_file(tmp_path, {"target": [target], "draft": [draft]}, PLANS)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tr-"))
    address = free_address()
    client = await stack.enter_async_context(routing(config, feedback=address))
    await reply(client, request())
    assert await number_for(client, "open") == 4
    await feedback_at(stack, address, folder)
    await until_number(client, "open", 0)


async def test_an_outcome_tells_whom_a_rating_is_of_and_how_fast_the_root_was(stack, tmp_path):
    target = await stack.enter_async_context(serving(Script()))
    config = configuration_file(tmp_path, {"target": [target]}, {"only": "target"})
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tr-"))
    address = free_address()
    await feedback_at(stack, address, folder)
    client = await stack.enter_async_context(routing(config, feedback=address))
    for number in range(5):
        answered = await reply(client, request(kind="maths"))
        learner = FeedbackClient(address)
        stack.push_async_callback(learner.close)
        decision = answered.finished.decision_id
        await learner.rate(Rating(f"rating {number}", decision, 1.0, "me"))
    async with asyncio.timeout(90):
        while not ((policy := await learner.policy()).tiers and len(policy.qualities) == 2):
            await asyncio.sleep(0.1)
    [speed] = policy.tiers
    assert (speed.tier, speed.min_outstanding) == ("target", 0)
    assert 0 < speed.first_token_p50_s <= speed.first_token_p95_s
    assert {(one.root, one.kind) for one in policy.qualities} == {
        ("target", ""),
        ("target", "maths"),
    }


async def test_a_router_is_known_by_its_token(stack, tmp_path):
    target = await stack.enter_async_context(serving(drafter_that_never_agrees()))
    draft = await stack.enter_async_context(serving(Script(tier="draft")))
    config = configuration_file(tmp_path, {"target": [target], "draft": [draft]}, PLANS)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tr-"))
    address, token, principals = free_address(), tmp_path / "token", tmp_path / "principals"
    token.write_text("secret\n")
    principals.write_text(json.dumps({"router": hashlib.sha256(b"secret").hexdigest()}))
    await feedback_at(stack, address, folder, principals_file=principals)
    options = {"feedback": address, "feedback_token_file": token}
    client = await stack.enter_async_context(routing(config, **options))
    await reply(client, request())
    await until_number(client, "open", 0)


class Feedback:
    """A client of feedback that fails as told."""

    def __init__(self, *failures: Exception, refuses: str = "") -> None:
        self.failures = list(failures)
        self.refuses = refuses
        self.reported: list[str] = []

    async def report(self, batch) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if self.refuses in [outcome.event_id for outcome in batch]:
            raise InvalidRequest("outcomes.kind", "", "bad")
        self.reported += [outcome.event_id for outcome in batch]


def outcome(name: str) -> Outcome:
    return Outcome(name, Usage(1, 1))


async def test_outcomes_are_retried_under_the_same_event_id():
    reporter, feedback = OutcomeReporter(), Feedback(Unavailable("away"), Unavailable("away"))
    async with reporter.reporting(feedback):
        reporter.put(outcome("a"))
        await eventually(lambda: feedback.reported == ["a"])


async def test_outcomes_that_feedback_refuses_are_dropped_and_counted():
    before = metrics.num_dropped_outcomes._value.get()
    reporter = OutcomeReporter()
    feedback = Feedback(InvalidRequest("outcomes[0].kind", "", "bad"))
    async with reporter.reporting(feedback):
        reporter.put(outcome("a"))
        await eventually(lambda: metrics.num_dropped_outcomes._value.get() == before + 1)
        reporter.put(outcome("b"))
        await eventually(lambda: feedback.reported == ["b"])


@pytest.mark.parametrize("is_over", [False, True])
async def test_one_outcome_that_is_refused_takes_no_other_with_it(is_over):
    before = metrics.num_dropped_outcomes._value.get()
    reporter, feedback = OutcomeReporter(), Feedback(refuses="b")
    async with reporter.reporting(feedback):
        for name in "abcd":
            reporter.put(outcome(name))
        if not is_over:
            await eventually(lambda: feedback.reported == list("acd"))
    assert feedback.reported == list("acd")
    assert metrics.num_dropped_outcomes._value.get() == before + 1


async def test_what_feedback_cannot_be_told_before_the_end_is_counted(monkeypatch):
    monkeypatch.setattr(outcomes, "_PARTING_S", 0.05)
    before = metrics.num_dropped_outcomes._value.get()
    reporter, feedback = OutcomeReporter(), Feedback(*[Unavailable("away")] * 100)
    async with reporter.reporting(feedback):
        for name in "abc":
            reporter.put(outcome(name))
    assert feedback.reported == []
    assert metrics.num_dropped_outcomes._value.get() == before + 3


async def test_a_full_queue_drops_the_oldest_and_counts_it(monkeypatch):
    monkeypatch.setattr(outcomes, "_MAX_WAITING", 3)
    before = metrics.num_dropped_outcomes._value.get()
    reporter, feedback = OutcomeReporter(), Feedback()
    async with reporter.reporting(feedback):
        for name in "abcde":
            reporter.put(outcome(name))
    assert feedback.reported == list("cde")
    assert metrics.num_dropped_outcomes._value.get() == before + 2
