"""Names of headless services: one replica for each address, as they come and go."""

import asyncio
import socket

import pytest

from services.router import watching
from services.router.fleet import Fleet
from services.router.watching import Watcher, resolved
from tests.addresses import free_address
from tests.router.routers import eventually
from tiercel.plan_rules import LOCAL
from tiercel.replies import ReplicaState
from tiercel.tiers import Tier


async def test_a_plain_address_is_itself():
    assert await resolved("host:1") == ["host:1"]


async def test_a_name_is_every_address_behind_it_each_once(monkeypatch):
    found = [
        (socket.AF_INET, 0, 0, "", ("10.0.0.2", 5)),
        (socket.AF_INET, 0, 0, "", ("10.0.0.1", 5)),
        (socket.AF_INET, 0, 0, "", ("10.0.0.1", 5)),
        (socket.AF_INET6, 0, 0, "", ("fd00::1", 5, 0, 0)),
    ]

    async def getaddrinfo(host, port, **_):
        assert (host, port) == ("target.ns.svc", 5)
        return found

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    expected = ["10.0.0.1:5", "10.0.0.2:5", "[fd00::1]:5"]
    assert await resolved("dns:///target.ns.svc:5") == expected


@pytest.mark.parametrize("name", ["no-such-name.invalid", "a" * 64 + ".invalid"])
async def test_a_name_that_is_not_resolved_stops_nothing(name):
    fleet = Fleet(["target"])
    tier = Tier(service="verifier", engine="onnx", addresses=(f"dns:///{name}:5",))
    async with Watcher(fleet, {"target": tier}, poll_s=0.05).watching():
        assert fleet.of("target") == []


async def test_a_name_server_that_does_not_answer_stops_nothing(monkeypatch):
    async def getaddrinfo(host, port, **_):
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(watching, "_MAX_RESOLVE_S", 0.05)
    fleet = Fleet(["target", "draft"])
    named = Tier(service="verifier", engine="onnx", addresses=("dns:///target:5",))
    plain = Tier(service="verifier", engine="onnx", addresses=(free_address(),))
    async with (
        asyncio.timeout(60),
        Watcher(fleet, {"target": named, "draft": plain}, poll_s=0.05).watching(),
    ):
        assert fleet.of("target") == []
        assert fleet.of("draft")[0].problem != "not asked yet"


async def test_a_look_that_fails_is_not_the_last(monkeypatch):
    num_looks = 0

    async def look_at(replica):
        nonlocal num_looks
        num_looks += 1
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(watching, "look_at", look_at)
    fleet = Fleet(["target"])
    tier = Tier(service="verifier", engine="onnx", addresses=(free_address(),))
    async with Watcher(fleet, {"target": tier}, poll_s=0.01).watching():
        await eventually(lambda: num_looks >= 3)


async def test_replicas_come_and_go_with_the_name(monkeypatch):
    first, second = free_address(), free_address()
    now = [first]

    async def answers(address: str) -> list[str]:
        return list(now)

    monkeypatch.setattr(watching, "resolved", answers)
    monkeypatch.setattr(watching, "_RESOLVE_S", 0.0)
    fleet = Fleet(["target"])
    tier = Tier(service="verifier", engine="onnx", addresses=("dns:///target:5",))
    async with Watcher(fleet, {"target": tier}, poll_s=0.05).watching():
        before = fleet.find("target", first)
        now.append(second)
        await eventually(lambda: len(fleet.of("target")) == 2)
        assert fleet.find("target", first) is before
        now.remove(first)
        await eventually(lambda: [one.address for one in fleet.of("target")] == [second])


async def test_nobody_asks_a_tier_that_has_no_process_how_it_is():
    fleet = Fleet(["suffix", "draft"])
    local = Tier(service="drafter", engine="suffix", addresses=(LOCAL,))
    gone = Tier(service="drafter", engine="suffix", addresses=(free_address(),))
    async with Watcher(fleet, {"suffix": local, "draft": gone}, poll_s=0.05).watching():
        assert [one.state for one in fleet.of("draft")] == [ReplicaState.UNREACHABLE]
        assert [one.state for one in fleet.of("suffix")] == [ReplicaState.READY]
