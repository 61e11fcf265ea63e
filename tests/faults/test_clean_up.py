"""Whatever ends a stream, every session of a three-level chain is gone within 10 s."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.faults.answers import Reading, asked, expected
from tests.faults.chain import MANY, Chain
from tests.faults.proxy import Proxy, every_bit_wrong, one_bit_wrong, proxied
from tests.faults.services import idle, num_sessions, until

# A caller in a process of its own, for one that dies cannot tidy up.
CALLER = """
import asyncio, sys
import pytest

from tests.faults.answers import asked
from tiercel.types import Plan

async def main(root, middle, leaf):
    plan = Plan("root", drafters=(Plan("middle", middle, drafters=(Plan("leaf", leaf),)),))
    async with asked(root, plan, max_new_tokens=8000) as reading:
        await reading.drafted_by("leaf")
        print("reading", flush=True)
        await reading.to_the_end()

asyncio.run(main(*sys.argv[1:]))
"""


@asynccontextmanager
async def answering_over_a_proxy(chain: Chain, **options) -> AsyncIterator[tuple[Proxy, Reading]]:
    """Yield the link between caller and root, and an answer that all three tiers work on."""
    async with (
        proxied(chain.root.address) as (link, address),
        asked(address, chain.plan, max_new_tokens=MANY, **options) as reading,
    ):
        await reading.drafted_by("leaf")
        yield link, reading
        link.flow()


async def all_open(chain: Chain) -> None:
    """Wait until every tier holds a session: without it the clean-up tests would prove nothing."""

    async def are_open() -> bool:
        return all([await num_sessions(service.address) == 1 for service in chain.services])

    await until(are_open, "a tier holds no session")


async def test_a_caller_that_leaves(chain):
    async with asked(chain.root.address, chain.plan, max_new_tokens=MANY) as reading:
        await reading.drafted_by("leaf")
        await all_open(chain)
    await idle(*chain.services)


async def test_a_caller_that_is_killed(chain):
    addresses = [service.address for service in chain.services]
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, *addresses],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert caller.stdout is not None
        assert await asyncio.to_thread(caller.stdout.readline) == b"reading\n"
        await all_open(chain)
    finally:
        caller.kill()
        caller.communicate()
    await idle(*chain.services)


async def test_a_caller_behind_a_black_hole(chain):
    async with answering_over_a_proxy(chain) as (link, _):
        await all_open(chain)
        link.stall()
        await idle(*chain.services)


async def test_a_caller_whose_connection_is_reset(chain):
    async with answering_over_a_proxy(chain) as (link, _):
        link.reset()
        await idle(*chain.services)


async def test_a_caller_whose_connection_is_half_closed(chain):
    async with answering_over_a_proxy(chain) as (link, _):
        link.half_close()
        await idle(*chain.services)


async def test_a_black_hole_between_root_and_middle(chain):
    async with (
        proxied(chain.middle.address) as (link, address),
        asked(chain.root.address, chain.plan_over(address), max_new_tokens=MANY) as reading,
    ):
        await reading.drafted_by("leaf")
        link.stall()
        await idle(chain.middle, chain.leaf)
        await reading.until(lambda: bool(reading.lost))
        link.flow()
        await reading.drafted_by("leaf")
        reading.session.finish()
        await reading.to_the_end()
    await idle(*chain.services)
    assert reading.token_ids == expected(len(reading.token_ids))


@pytest.mark.parametrize("garble", [one_bit_wrong, every_bit_wrong])
async def test_a_slow_and_then_garbled_link_between_root_and_middle_changes_no_token(chain, garble):
    async with (
        proxied(chain.middle.address) as (link, address),
        asked(chain.root.address, chain.plan_over(address), max_new_tokens=MANY) as reading,
    ):
        link.delay_s = 0.02
        await reading.drafted_by("middle")
        link.garble = garble
        await reading.until(lambda: bool(reading.lost))
        link.garble, link.delay_s = None, 0.0
        if garble is every_bit_wrong:
            await reading.drafted_by("middle")
        else:  # a drafter that said what no drafter says is left alone for good
            num_tokens = len(reading.token_ids)
            await reading.until(lambda: len(reading.token_ids) > num_tokens + 20)
        reading.session.finish()
        await reading.to_the_end()
    await idle(*chain.services)
    assert reading.token_ids == expected(len(reading.token_ids))


async def test_a_stopped_root(chain):
    async with asked(chain.root.address, chain.plan, max_new_tokens=MANY) as reading:
        await reading.drafted_by("leaf")
        chain.root.send(signal.SIGSTOP)
        try:
            await idle(chain.middle, chain.leaf)
        finally:
            chain.root.send(signal.SIGCONT)
    await idle(*chain.services)


async def test_the_promise_of_ten_seconds_holds_with_the_default_heartbeat():
    with ExitStack() as stack:
        chain = Chain(stack, heartbeat_s=2.0)
        await chain.ready()
        async with answering_over_a_proxy(chain, heartbeat_s=2.0) as (link, _):
            link.stall()
            await idle(*chain.services)
        async with asked(
            chain.root.address, chain.plan, max_new_tokens=MANY, heartbeat_s=2.0
        ) as reading:
            await reading.drafted_by("leaf")
            chain.root.send(signal.SIGSTOP)
            await idle(chain.middle, chain.leaf)
            chain.root.send(signal.SIGCONT)
