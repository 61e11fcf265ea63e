import asyncio

import pytest

from tiercel.rpc.patience import Patience


async def never() -> None:
    await asyncio.Event().wait()


async def test_a_wait_that_takes_too_long_times_out_every_time():
    patience = Patience(0.02)
    for _ in range(3):
        with pytest.raises(TimeoutError), patience:
            await never()
    assert asyncio.current_task().cancelling() == 0


async def test_many_short_waits_together_may_take_longer():
    patience = Patience(0.05)
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.2
    while loop.time() < until:
        with patience:
            await asyncio.sleep(0.001)
    with pytest.raises(TimeoutError), patience:
        await never()


async def test_time_between_waits_does_not_count():
    patience = Patience(0.02)
    with patience:
        pass
    await asyncio.sleep(0.06)
    with patience:
        await asyncio.sleep(0)


async def test_a_task_that_others_cancel_is_cancelled():
    patience, waits = Patience(60.0), asyncio.Event()

    async def work() -> None:
        with patience:
            waits.set()
            await never()

    task = asyncio.create_task(work())
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    patience.close()


async def test_one_that_is_cancelled_and_late_at_once_is_cancelled():
    patience, waits = Patience(0.02), asyncio.Event()

    async def work() -> None:
        with patience:
            try:
                waits.set()
                await never()
            finally:
                asyncio.current_task().cancel()

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_the_wait_raises_comes_through():
    with pytest.raises(KeyError), Patience(60.0):
        raise KeyError


async def test_a_closed_one_leaves_no_timer():
    patience = Patience(60.0)
    with patience:
        await asyncio.sleep(0)
    [timer] = [handle for handle in asyncio.get_running_loop()._scheduled if not handle.cancelled()]
    patience.close()
    assert timer.cancelled()
