"""After many answers, ended in every way, nothing of them is left in the servers' process."""

import asyncio
from collections import Counter
from contextlib import suppress

import grpc
import pytest

from tests.faults.answers import answer, asked, expected
from tests.faults.in_process import all_closed, open_caches, our_tasks, verifier
from tests.faults.services import PATIENCE_S, idle_at, until
from tiercel import rpc
from tiercel.errors import DeadlineExceeded, InvalidRequest
from tiercel.types import Plan

GENERATE, DRAFT = "/tiercel.v1.Verifier/Generate", "/tiercel.v1.Drafter/Draft"


async def test_no_task_and_no_cache_outlives_its_answer():
    async with (
        verifier("root", "m?base_s=0.001") as root,
        verifier("middle", "m?base_s=0.0005&acceptance=0.9") as middle,
        verifier("leaf", "m?acceptance=0.8") as leaf,
    ):
        lower = Plan("middle", middle, drafters=(Plan("leaf", leaf),))
        plan = Plan("root", drafters=(lower,))
        await one_of_each(root, plan)
        await idle_at(root, middle, leaf)
        before = Counter(our_tasks())
        await asyncio.gather(*(one_of_each(root, plan) for _ in range(8)))
        await idle_at(root, middle, leaf)
        await all_closed()

        async def is_as_before() -> bool:
            return Counter(our_tasks()) <= before

        await until(is_as_before, "a task outlived its answer", within_s=10)


async def test_caches_that_are_kept_for_new_sessions_go_with_the_service():
    async with verifier("root", prefix_cache_tokens=4096) as root:
        plan = Plan("root")
        await asyncio.gather(*(one_of_each(root, plan) for _ in range(8)))
        await idle_at(root)
        await until(few_are_kept, "more caches are kept than were asked for", within_s=10)
        assert open_caches()
    await all_closed()


async def few_are_kept() -> bool:
    return sum(cache.length for cache in open_caches()) <= 4096


async def one_of_each(root: str, plan: Plan) -> None:
    """Have answers that end, that are ended, that are left, and that are refused."""
    assert (await answer(root, plan, max_new_tokens=60)).token_ids == expected(60)
    async with asked(root, plan, max_new_tokens=4000) as reading:
        await reading.until(lambda: len(reading.token_ids) > 10)
        reading.session.finish()
        await reading.to_the_end()
    async with asked(root, plan, max_new_tokens=4000) as reading:
        await reading.until(lambda: len(reading.token_ids) > 10)
    with suppress(DeadlineExceeded):  # the end may be late where so many answers are under way
        await answer(root, plan, max_new_tokens=4000, timeout_s=0.3)
    with pytest.raises(InvalidRequest):
        await answer(root, Plan("nobody"))


@pytest.mark.parametrize("method", [GENERATE, DRAFT])
@pytest.mark.parametrize(
    "garbage", [b"\xff" * 100, b"", b"\x0a\x00"], ids=["bytes", "nothing", "unset"]
)
async def test_a_caller_that_speaks_no_protobuf_is_refused(method, garbage):
    async with verifier("root") as root, rpc.channel(root) as channel:
        call = channel.stream_stream(method)(iter([garbage]))
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await asyncio.wait_for(call.read(), PATIENCE_S)
        assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (await answer(root, Plan("root"), max_new_tokens=8)).token_ids == expected(8)
        await idle_at(root)
