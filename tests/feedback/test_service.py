"""The service over sockets: reports become policies, and these are pushed to watchers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from pydantic import SecretStr

from services.feedback.__main__ import opening
from services.feedback.settings import Settings
from tests.feedback.calls import get, report, until_version, watch
from tests.feedback.conftest import StartService
from tests.feedback.outcomes import outcome
from tests.feedback.servers import RedisServer
from tiercel import rpc
from tiercel.learning import LearnedPolicy
from tiercel.v1 import decoding_pb2, feedback_pb2, feedback_pb2_grpc
from tiercel.wire.feedback import outcome_to_pb


async def test_outcomes_become_a_policy(redis: RedisServer, start_service: StartService):
    stub = await start_service(redis.url)
    events = [outcome(kind="maths") for _ in range(3)]
    assert await report(stub, *events) == (3, 0)
    assert await report(stub, *events) == (0, 3)
    policy = await get(stub)
    assert policy.version == 3
    whole, maths = policy.pairs
    assert (whole.drafter, whole.verifier, whole.kind) == ("draft", "target", "")
    assert maths.kind == "maths"
    assert whole.acceptance_rate == pytest.approx(0.9)
    assert whole.draft_s_per_token == pytest.approx(0.001)
    assert whole.verify_s_per_pass == pytest.approx(0.04)
    assert whole.num_judged_tokens == 300
    assert whole.num_speculative_tokens > 4


async def test_too_little_evidence_is_not_pushed(valkey: RedisServer, start_service: StartService):
    stub = await start_service(valkey.url)
    await report(stub, outcome())
    policy = await get(stub)
    assert (policy.version, policy.pairs) == (1, ())


async def test_two_watchers_are_told_at_once_and_of_each_change(
    valkey: RedisServer, start_service: StartService
):
    stub = await start_service(valkey.url)
    watchers = [watch(stub), watch(stub)]
    for policies in watchers:
        assert (await until_version(policies, 0)).pairs == ()
    await report(stub, *(outcome() for _ in range(3)))
    for policies in watchers:
        assert len((await until_version(policies, 3)).pairs) == 1


async def test_who_has_the_policy_is_told_of_changes_only(
    valkey: RedisServer, start_service: StartService
):
    stub = await start_service(valkey.url)
    await report(stub, outcome())
    have = await get(stub)
    policies = watch(stub, have)
    first = asyncio.ensure_future(anext(policies))
    await asyncio.sleep(0.5)
    assert not first.done()
    await report(stub, outcome())
    assert (await first).version == 2
    other_epoch = LearnedPolicy("another store", have.version)
    assert (await anext(watch(stub, other_epoch))).epoch == have.epoch


async def test_a_replica_pushes_what_another_learned(
    redis: RedisServer, start_service: StartService
):
    one, other = [await start_service(redis.url) for _ in range(2)]
    policies = watch(other)
    await until_version(policies, 0)
    events = [outcome(event_id=f"e{i}") for i in range(5)]
    replies = await asyncio.gather(report(one, *events), report(other, *events))
    assert sum(applied for applied, _ in replies) == 5
    assert sum(duplicates for _, duplicates in replies) == 5
    pushed = await until_version(policies, 5)
    assert pushed == await get(one)


async def test_without_hints_changes_are_found_by_looking(
    valkey: RedisServer, start_service: StartService, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("services.feedback.connection.Connection.hints", no_hints)
    stub = await start_service(valkey.url)
    policies = watch(stub)
    await until_version(policies, 0)
    await report(stub, outcome())
    await until_version(policies, 1)


async def no_hints(_: object) -> AsyncIterator[None]:
    await asyncio.Event().wait()
    yield


async def test_streams_end_cleanly_when_the_service_drains(valkey: RedisServer):
    settings = Settings(redis_url=SecretStr(valkey.url), push_interval_s=0.05)
    serving = rpc.server(opening(settings), "localhost:0", grace_s=20.0)
    port = await serving.__aenter__()
    async with rpc.channel(f"localhost:{port}") as channel:
        call = feedback_pb2_grpc.FeedbackStub(channel).Watch(feedback_pb2.WatchRequest())
        assert (await call.read()).policy.epoch
        stopping = asyncio.ensure_future(serving.__aexit__(None, None, None))
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
        await stopping


async def test_the_embedded_store_serves_when_no_url_is_given(
    folder: Path, start_service: StartService
):
    stub = await start_service(data_dir=folder)
    assert await report(stub, outcome(), outcome()) == (2, 0)
    assert (await get(stub)).version == 2


async def test_an_outcome_of_plain_decoding_counts_too(
    valkey: RedisServer, start_service: StartService
):
    stub = await start_service(valkey.url)
    plain = outcome_to_pb(outcome())
    plain.ClearField("usage")
    plain.usage.tiers.add(tier="target", num_forward_passes=10, compute_ns=10**9)
    plain.plan.CopyFrom(decoding_pb2.Plan(tier="target"))
    response = await stub.Report(feedback_pb2.ReportRequest(outcomes=[plain]))
    assert response.num_applied == 1
