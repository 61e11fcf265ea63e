"""Names of headless services: one replica for each address, as they come and go."""

import asyncio
import socket

import pytest

from services.router import watching
from services.router.fleet import Fleet
from services.router.watching import Watcher, resolved
from tests.router.processes import free_address
from tests.router.routers import eventually
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
