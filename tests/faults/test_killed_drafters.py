"""Drafters that die or stop in mid-generation, at every level: no token changes, all go on."""

import signal

import pytest

from tests.faults.answers import answer, asked, expected
from tests.faults.chain import MANY
from tiercel.types import FinishReason, Plan


async def test_the_chain_gives_the_tokens_of_the_root_alone(chain):
    alone = await answer(chain.root.address, Plan("root"))
    chained = await answer(chain.root.address, chain.plan)
    assert chained.token_ids == alone.token_ids == expected(64)
    assert {"middle", "leaf"} < set(chained.sources)


@pytest.mark.parametrize("tier", ["middle", "leaf"])
async def test_a_killed_drafter_changes_no_token_and_is_taken_back(chain, tier):
    async with asked(chain.root.address, chain.plan, max_new_tokens=MANY) as reading:
        await reading.drafted_by(tier)
        chain.service(tier).kill()
        await reading.until(lambda: any(lost.path[-1] == tier for lost in reading.lost))
        alone_from = len(reading.token_ids)
        await reading.until(lambda: len(reading.token_ids) > alone_from + 80)
        # Before that come tokens that the tiers above had of it, drafted ahead.
        assert tier not in reading.sources[alone_from + 60 :]
        chain.service(tier).start()
        await reading.drafted_by(tier)
        reading.session.finish()
        await reading.to_the_end()
    assert reading.end.reason is FinishReason.CANCELLED
    assert reading.token_ids == expected(len(reading.token_ids))


@pytest.mark.parametrize("tier", ["middle", "leaf"])
async def test_a_stopped_drafter_changes_no_token_and_is_taken_back(chain, tier):
    async with asked(chain.root.address, chain.plan, max_new_tokens=MANY) as reading:
        await reading.drafted_by(tier)
        chain.service(tier).send(signal.SIGSTOP)
        try:
            await reading.until(lambda: any(lost.path[-1] == tier for lost in reading.lost))
            alone_from = len(reading.token_ids)
            await reading.until(lambda: len(reading.token_ids) > alone_from + 20)
        finally:
            chain.service(tier).send(signal.SIGCONT)
        await reading.drafted_by(tier)
        reading.session.finish()
        await reading.to_the_end()
    assert reading.token_ids == expected(len(reading.token_ids))


async def test_a_drafter_that_dies_at_once_again_and_again_changes_no_token(chain):
    async with asked(chain.root.address, chain.plan, max_new_tokens=MANY) as reading:
        for _ in range(3):
            await reading.drafted_by("leaf")
            chain.leaf.kill()
            num_lost = len(reading.lost)
            await reading.until(lambda num_lost=num_lost: len(reading.lost) > num_lost)
            chain.leaf.start()
        await reading.drafted_by("leaf")
        reading.session.finish()
        await reading.to_the_end()
    assert reading.token_ids == expected(len(reading.token_ids))
