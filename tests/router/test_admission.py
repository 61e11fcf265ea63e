"""The bounded queue, alone and seen from a client."""

import asyncio
import time
from contextlib import AsyncExitStack

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.router.admission import Admission
from tests.router.routers import configuration_file, reply, request, routing
from tests.router.scripted_tier import Script, serving
from tiercel import rpc
from tiercel.errors import DeadlineExceeded, Overloaded
from tiercel.v1 import decoding_pb2, router_pb2, router_pb2_grpc

FAR = 1e9


def admission(**limits) -> Admission:
    return Admission(**{"max_concurrent": 1, "max_queued": 1, "max_wait_s": 5.0} | limits)


async def test_who_waits_is_served_in_order():
    order, queue = [], admission(max_queued=3)

    async def enter(name: str) -> None:
        async with queue.place(FAR):
            order.append(name)
            await asyncio.sleep(0.01)

    await asyncio.gather(*(enter(name) for name in "abcd"))
    assert order == list("abcd")


async def test_a_full_queue_turns_away_with_a_time_to_come_back():
    queue = admission(max_queued=0)
    async with queue.place(FAR):
        with pytest.raises(Overloaded) as caught:
            await queue.place(FAR).__aenter__()
        assert caught.value.retry_after_s > 0
    async with queue.place(FAR):
        pass


async def test_too_long_a_wait_is_overload_and_no_time_left_is_the_deadline():
    queue = admission(max_wait_s=0.05)
    async with queue.place(FAR):
        with pytest.raises(Overloaded, match="longest wait"):
            await queue.place(FAR).__aenter__()
        with pytest.raises(DeadlineExceeded):
            await queue.place(time.monotonic() + 0.01).__aenter__()


async def test_who_gives_up_waiting_leaves_no_trace():
    queue = admission()
    async with queue.place(FAR):
        waiting = asyncio.create_task(queue.place(FAR).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        again = asyncio.create_task(queue.place(FAR).__aenter__())
        await asyncio.sleep(0)
        assert not again.done(), "the queue still counts who left"
    await again


async def test_overload_reaches_the_client_as_resource_exhausted_with_a_delay(tmp_path):
    async with AsyncExitStack() as stack:
        slow = Script(fault="silent")
        address = await stack.enter_async_context(serving(slow))
        config = configuration_file(tmp_path, {"target": [address]}, {"target": "target"})
        settings = {"max_concurrent": 1, "max_queued": 0, "heartbeat_s": 30.0}
        client = await stack.enter_async_context(routing(config, **settings))
        first = asyncio.create_task(reply(client, request(max_new_tokens=20)))
        await slow.stuck.wait()
        with pytest.raises(Overloaded, match="queue is full") as caught:
            await reply(client, request())
        assert caught.value.retry_after_s > 0
        assert await retry_delay_s(client._address) > 0
        slow.goes_on.set()
        assert len((await first).token_ids) == 20


async def retry_delay_s(address: str) -> float:
    """Ask as a client without our library would; return the delay of RetryInfo."""
    async with rpc.channel(address) as channel:
        call = router_pb2_grpc.RouterStub(channel).Generate(
            router_pb2.GenerateRequest(prompt=decoding_pb2.Prompt(text="x"))
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    status = rpc_status.from_call(caught.value)
    info = error_details_pb2.RetryInfo()
    assert any(isinstance(detail, Any) and detail.Unpack(info) for detail in status.details)
    return info.retry_delay.ToTimedelta().total_seconds()


async def test_the_deadline_in_the_queue_ends_the_request(tmp_path):
    async with AsyncExitStack() as stack:
        slow = Script(fault="silent")
        address = await stack.enter_async_context(serving(slow))
        config = configuration_file(tmp_path, {"target": [address]}, {"target": "target"})
        settings = {"max_concurrent": 1, "heartbeat_s": 30.0}
        client = await stack.enter_async_context(routing(config, **settings))
        first = asyncio.create_task(reply(client, request()))
        await slow.stuck.wait()
        async with rpc.channel(client._address) as channel:
            call = router_pb2_grpc.RouterStub(channel).Generate(
                router_pb2.GenerateRequest(prompt=decoding_pb2.Prompt(text="x")), timeout=0.3
            )
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        slow.goes_on.set()
        assert len((await first).token_ids) == 12
