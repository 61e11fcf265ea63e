"""A tier that is full says so at once, and a full drafter does not hurt its parent."""

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.faults.answers import PROMPT, answer, asked, expected
from tests.faults.in_process import verifier
from tests.faults.services import idle_at
from tiercel import rpc
from tiercel.errors import Overloaded
from tiercel.types import Plan
from tiercel.v1 import decoding_pb2, verifier_pb2
from tiercel.v1.verifier_pb2_grpc import VerifierStub
from tiercel.wire.plans import plan_to_pb

SLOW = "m?base_s=0.02"


async def test_one_session_too_many_is_refused_at_once_with_a_delay_to_try_again():
    async with (
        verifier("root", SLOW, max_sessions=1) as root,
        asked(root, Plan("root"), max_new_tokens=2000) as first,
        rpc.channel(root) as channel,
    ):
        await first.until(lambda: bool(first.token_ids))
        call = VerifierStub(channel).Generate(opening_of("root"))
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call.read()
        assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_delay_s(failure.value) > 0
        with pytest.raises(Overloaded):
            await answer(root, Plan("root"))
        await first.until(lambda: len(first.token_ids) > 10)
        assert first.token_ids == expected(len(first.token_ids))


async def test_a_full_drafter_leaves_its_parent_alone_until_it_has_room():
    async with (
        verifier("draft", SLOW, max_sessions=1) as drafter,
        verifier("root", SLOW, always_draft=True) as root,
    ):
        plan = Plan("root", drafters=(Plan("draft", drafter),))
        async with asked(drafter, Plan("draft"), max_new_tokens=2000) as first:
            await first.until(lambda: bool(first.token_ids))
            async with asked(root, plan, max_new_tokens=2000) as alone:
                await alone.until(lambda: bool(alone.lost and alone.sources))
                alone.session.finish()
                await alone.to_the_end()
            assert set(alone.sources) == {"root"}
            assert "all 1 sessions" in alone.lost[0].reason
        async with asked(root, plan, max_new_tokens=2000) as second:
            await second.drafted_by("draft")
            second.session.finish()
            await second.to_the_end()
        assert second.token_ids == expected(len(second.token_ids))
        await idle_at(root, drafter)


async def opening_of(tier: str):
    opening = verifier_pb2.GenerateOpen(
        plan=plan_to_pb(Plan(tier)), prompt=decoding_pb2.Prompt(text=PROMPT)
    )
    yield verifier_pb2.VerifierGenerateRequest(open=opening)


def retry_delay_s(failure: grpc.aio.AioRpcError) -> float:
    """Return the delay that a refusal names."""
    info = error_details_pb2.RetryInfo()
    status = rpc_status.from_call(failure)
    assert any(detail.Unpack(info) for detail in status.details)
    return info.retry_delay.ToTimedelta().total_seconds()
