"""Freezing, rolling back, forgetting and carrying over what is learned, through the service."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.feedback.calls import get, report
from tests.feedback.conftest import StartService, Stub
from tests.feedback.outcomes import outcome
from tests.feedback.servers import RedisServer
from tests.feedback.test_events import AUDIT, SCORE, answered
from tiercel import rpc
from tiercel.errors import InvalidRequest, NotFound, Unidentified
from tiercel.v1 import feedback_pb2 as pb


async def history(stub: Stub, **limit: int) -> list[pb.Change]:
    with rpc.translated():
        return list((await stub.GetHistory(pb.GetHistoryRequest(**limit))).changes)


async def learned(stub: Stub) -> list[tuple[str, int]]:
    return [(pair.drafter, pair.num_judged_tokens) for pair in (await get(stub)).pairs]


async def exported(stub: Stub) -> bytes:
    with rpc.translated():
        return b"".join([piece.data async for piece in stub.Export(pb.ExportRequest())])


async def imported(stub: Stub, pieces: Sequence[bytes]) -> pb.ImportResponse:
    with rpc.translated():
        return await stub.Import(iter([pb.ImportRequest(data=piece) for piece in pieces]))


@pytest.fixture
async def stub(redis: RedisServer, start_service: StartService) -> Stub:
    return await start_service(redis.url, half_life_s=1e9, min_judged_tokens=50)


async def test_while_it_is_frozen_nothing_is_learned(stub: Stub):
    await report(stub, outcome(event_id="before"))
    await stub.Freeze(pb.FreezeRequest(frozen=True, reason="an incident\tat night"))
    frozen = await get(stub)
    assert (frozen.frozen, frozen.frozen_reason) == (True, "an incident at night")
    assert await report(stub, outcome(event_id="during")) == (1, 0)
    assert await learned(stub) == [("draft", 100)]
    assert (await get(stub)).version == frozen.version
    await stub.Freeze(pb.FreezeRequest(frozen=False, reason="over"))
    assert not (await get(stub)).frozen
    assert await report(stub, outcome(event_id="during"), outcome()) == (1, 1)
    assert await learned(stub) == [("draft", 200)]
    thawed, froze = await history(stub)
    assert [froze.action, thawed.action] == ["frozen", "thawed"]
    assert froze.version == frozen.version and froze.at_s > 1.7e9


async def test_an_earlier_version_is_put_back_and_that_can_be_undone(stub: Stub):
    await report(stub, outcome())
    await stub.Freeze(pb.FreezeRequest(frozen=False, reason="keep this"))
    await report(stub, outcome(), outcome(drafter="bad"))
    assert await learned(stub) == [("bad", 100), ("draft", 200)]
    response = await stub.Rollback(pb.RollbackRequest(version=1, reason="it was better"))
    assert await learned(stub) == [("draft", 100)]
    policy = await get(stub)
    assert policy.version == response.version == 5
    undone = await stub.Rollback(pb.RollbackRequest(version=4))
    assert undone.version == 6
    assert await learned(stub) == [("bad", 100), ("draft", 200)]
    assert [change.action for change in await history(stub, limit=1)] == ["rolled back"]


async def test_a_version_that_is_not_kept_is_refused(stub: Stub):
    await report(stub, outcome())
    with pytest.raises(NotFound, match="version 7"), rpc.translated():
        await stub.Rollback(pb.RollbackRequest(version=7))
    assert await learned(stub) == [("draft", 100)] and await history(stub) == []


async def test_versions_are_kept_as_they_are_learned(redis: RedisServer, start_service):
    stub = await start_service(redis.url, half_life_s=1e9, keep_every_s=0.001)
    for _ in range(3):
        await report(stub, outcome())
    changes = await history(stub)
    assert changes and {(one.author, one.action) for one in changes} == {("learning", "learned")}
    before = changes[-1].version
    await stub.Rollback(pb.RollbackRequest(version=before))
    assert (await get(stub)).version == 4


async def test_a_part_is_forgotten_by_itself(stub: Stub):
    await report(stub, answered("d"), SCORE, AUDIT)
    with pytest.raises(InvalidRequest, match="what"), rpc.translated():
        await stub.Reset(pb.ResetRequest(what="all of it"))
    await stub.Reset(pb.ResetRequest(what="pairs", reason="new drafter"))
    assert await learned(stub) == []
    lines = [json.loads(line) for line in (await exported(stub)).splitlines()[1:]]
    assert {json.loads(line["cell"])[0] for line in lines} == {"tier", "level", "drift"}
    await stub.Reset(pb.ResetRequest())
    assert len((await exported(stub)).splitlines()) == 1


async def test_what_is_learned_is_carried_over(
    stub: Stub, folder: Path, start_service: StartService
):
    await report(stub, outcome(kind="maths"), SCORE, AUDIT)
    data = await exported(stub)
    other = await start_service(data_dir=folder / "other", min_judged_tokens=50)
    await report(other, outcome(drafter="own"))
    before = await get(other)
    response = await imported(other, [data[:50], data[50:]])
    after = await get(other)
    assert await learned(other) == await learned(stub) != []
    assert after.epoch == response.epoch != before.epoch
    assert after.version == response.version
    assert (await exported(other)).splitlines()[1:] == data.splitlines()[1:]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b'{"schema": 1, "epoch": "e"}',
        b'{"schema": 2, "epoch": "e"}\n{"cell": "no json", "sums": "accepted 1"}',
        b'{"schema": 2, "epoch": "e"}\n{"cell": "[\\"pair\\"]", "sums": "accepted nan"}',
        b'{"schema": 2, "epoch": "e"}\n["neither"]',
    ],
)
async def test_what_is_no_export_changes_nothing(stub: Stub, data: bytes):
    await report(stub, outcome())
    before = await get(stub)
    with pytest.raises(InvalidRequest, match="data"):
        await imported(stub, [data])
    assert await get(stub) == before


async def test_who_has_no_token_changes_nothing(
    valkey: RedisServer, folder: Path, start_service: StartService
):
    file = folder / "principals.json"
    file.write_text(json.dumps({"ann": hashlib.sha256(b"secret").hexdigest()}))
    stub = await start_service(valkey.url, principals_file=file)
    rating = pb.RateRequest(event_id="r", decision_id="d", score=1.0, rater="somebody else")
    calls = [
        (stub.Rate, rating),
        (stub.Report, pb.ReportRequest()),
        (stub.Reset, pb.ResetRequest()),
    ]
    for call, request in calls:
        for metadata in ((), (("authorization", "Bearer wrong"),), (("authorization", "secret"),)):
            with pytest.raises(Unidentified), rpc.translated():
                await call(request, metadata=metadata)
    assert (await get(stub)).version == 0
    known = (("authorization", "Bearer secret"),)
    await stub.Rate(rating, metadata=known)
    await stub.Reset(pb.ResetRequest(), metadata=known)
    [change] = await history(stub)
    assert change.author == "ann"


async def test_a_file_that_names_nobody_is_refused(folder: Path, start_service: StartService):
    file = folder / "principals.json"
    file.write_text("[]")
    with pytest.raises(InvalidRequest, match="principals_file"):
        await start_service("unix:///nowhere", principals_file=file)
