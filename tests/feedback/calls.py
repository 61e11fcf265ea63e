"""Calls of the feedback service as domain values."""

import asyncio
from collections.abc import AsyncIterator

from tests.feedback.conftest import Stub
from tiercel import rpc
from tiercel.learning import Event, LearnedPolicy
from tiercel.v1 import feedback_pb2
from tiercel.wire.feedback import report_to_pb
from tiercel.wire.learned import policy_from_pb


async def report(stub: Stub, *events: Event) -> tuple[int, int]:
    with rpc.translated():
        response = await stub.Report(report_to_pb(events))
    return response.num_applied, response.num_duplicates


async def get(stub: Stub) -> LearnedPolicy:
    with rpc.translated():
        response = await stub.GetPolicy(feedback_pb2.GetPolicyRequest())
    return policy_from_pb(response.policy)


async def watch(stub: Stub, have: LearnedPolicy | None = None) -> AsyncIterator[LearnedPolicy]:
    request = feedback_pb2.WatchRequest(
        have_epoch=have.epoch if have else "", have_version=have.version if have else 0
    )
    with rpc.translated():
        async for response in stub.Watch(request):
            yield policy_from_pb(response.policy)


async def until_version(policies: AsyncIterator[LearnedPolicy], version: int) -> LearnedPolicy:
    async with asyncio.timeout(120):
        async for policy in policies:
            if policy.version >= version:
                return policy
    raise AssertionError("the stream ended")
