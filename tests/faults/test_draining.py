"""SIGTERM: not ready at once, open answers finish, parents go on alone, nothing is left."""

import signal
from contextlib import ExitStack

import pytest

from tests.faults.answers import answer, asked, expected
from tests.faults.services import PATIENCE_S, ServiceProcess, idle, start_simulated, until
from tiercel import rpc
from tiercel.clients.tier import is_ready
from tiercel.errors import Unavailable
from tiercel.types import FinishReason, Plan


async def test_a_verifier_that_drains_finishes_its_answers_and_takes_no_more():
    with ExitStack() as stack:
        root = start_simulated(stack, "root", "m?base_s=0.01")
        await root.ready()
        async with (
            rpc.channel(root.address) as channel,
            asked(root.address, Plan("root"), max_new_tokens=400) as reading,
        ):
            await reading.until(lambda: bool(reading.token_ids))
            root.send(signal.SIGTERM)
            await until(lambda: is_not_ready(channel), "still ready")
            with pytest.raises(Unavailable):
                await answer(root.address, Plan("root"))
            await reading.to_the_end()
        assert reading.end.reason is FinishReason.LENGTH
        assert reading.token_ids == expected(400)
        check_ended_well(root)


async def test_an_answer_that_outlasts_the_grace_is_cut_off_with_a_status():
    with ExitStack() as stack:
        root = start_simulated(stack, "root", "m?base_s=0.01", grace_s=0.5)
        await root.ready()
        async with asked(root.address, Plan("root"), max_new_tokens=6000) as reading:
            await reading.until(lambda: bool(reading.token_ids))
            root.send(signal.SIGTERM)
            with pytest.raises(Unavailable):
                await reading.to_the_end()
        assert not reading.ends
        check_ended_well(root)


async def test_a_drafter_that_drains_tells_its_parent_which_goes_on_alone():
    with ExitStack() as stack:
        root = start_simulated(stack, "root", "m?base_s=0.01", always_draft=True)
        draft = start_simulated(stack, "draft", "m?base_s=0.001&acceptance=0.9", always_draft=True)
        await root.ready()
        await draft.ready()
        plan = Plan("root", drafters=(Plan("draft", draft.address),))
        async with asked(root.address, plan, max_new_tokens=6000) as reading:
            await reading.drafted_by("draft")
            draft.send(signal.SIGTERM)
            await reading.until(lambda: bool(reading.lost))
            assert "leaves" in reading.lost[0].reason
            check_ended_well(draft)
            alone_from = len(reading.token_ids) + 20
            await reading.until(lambda: len(reading.token_ids) > alone_from + 20)
            assert set(reading.sources[alone_from:]) == {"root"}
            reading.session.finish()
            await reading.to_the_end()
        assert reading.token_ids == expected(len(reading.token_ids))
        await idle(root)


async def is_not_ready(channel) -> bool:
    """Whether the service says that it takes no work, or takes no call any more."""
    try:
        return not await is_ready(channel, timeout_s=PATIENCE_S)
    except Unavailable:
        return True


def check_ended_well(service: ServiceProcess) -> None:
    status, errors = service.ended()
    assert status == 0, errors
    assert "Traceback" not in errors
