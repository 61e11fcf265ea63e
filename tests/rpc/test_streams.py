"""The two ends of a stream, without gRPC between them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tiercel.rpc import Inbox, Outbox, PeerSilent, exchange


def outbox(interval_s: float = 60.0, **joining) -> Outbox:
    return Outbox(lambda number: f"beat {number}", interval_s=interval_s, **joining)


def joined(first: list, second: list) -> bool:
    """Join lists of equal kind."""
    if type(first) is not type(second):
        return False
    first.extend(second)
    return True


async def stream(*items, then: BaseException | None = None) -> AsyncIterator:
    for item in items:
        yield item
    if then is not None:
        raise then


async def test_messages_come_in_order_and_the_end_after_them():
    box = outbox()
    for number in range(5):
        box.put(number)
    box.close()
    assert [message async for message in box] == [0, 1, 2, 3, 4]


async def test_an_idle_outbox_beats_and_then_sends_on():
    box = outbox(interval_s=0.01)
    messages = aiter(box)
    assert [await anext(messages), await anext(messages)] == ["beat 1", "beat 2"]
    box.put("message")
    while (message := await anext(messages)) != "message":
        assert message.startswith("beat")
    await messages.aclose()


async def test_messages_that_wait_are_joined_and_a_lone_one_goes_at_once():
    box = outbox(join=joined)
    messages = aiter(box)
    box.put([1])
    assert await anext(messages) == [1]
    for message in ([2], [3], [4]):
        box.put(message)
    box.close()
    assert [message async for message in messages] == [[2, 3, 4]]


async def test_what_was_sent_is_never_added_to():
    box = outbox(join=joined)
    messages = aiter(box)
    box.put(first := [1])
    await anext(messages)
    box.put([2])
    assert first == [1]
    box.close()
    await messages.aclose()


async def test_a_lone_message_goes_at_once_and_those_that_follow_soon_share_one():
    box = outbox(join=joined, grows=lambda message: isinstance(message, list), gap_s=60.0)
    messages = aiter(box)
    box.put([1])
    assert await anext(messages) == [1]
    held = asyncio.ensure_future(anext(messages))
    for message in ([2], [3]):
        box.put(message)
        await asyncio.sleep(0)
    assert not held.done()
    box.put("other")
    assert await held == [2, 3]
    assert await anext(messages) == "other"
    box.put([4])
    box.close()
    assert [message async for message in messages] == [[4]]


async def test_a_gap_ends():
    box = outbox(join=joined, grows=lambda message: True, gap_s=0.02)
    messages = aiter(box)
    for number in range(3):
        box.put([number])
        assert await anext(messages) == [number]
    await messages.aclose()


async def test_an_inbox_joins_what_waits_and_keeps_the_end_apart():
    with Inbox(stream([1], [2], [3]), interval_s=60.0, join=joined) as inbox:
        got = []
        while (message := await inbox.get()) is not None:
            got += message
    assert got == [1, 2, 3]


async def test_what_the_stream_raises_is_raised_after_its_messages():
    with Inbox(stream([1], then=KeyError()), interval_s=60.0, join=joined) as inbox:
        assert await inbox.get() == [1]
        with pytest.raises(KeyError):
            await inbox.get()


async def test_a_silent_peer_is_found_out():
    async def silent():
        yield "last words"
        await asyncio.Event().wait()

    with Inbox(silent(), interval_s=0.01) as inbox:
        assert await inbox.get() == "last words"
        with pytest.raises(PeerSilent):
            await inbox.get()


async def test_a_reader_that_is_slow_holds_the_stream_back():
    num_made = 0

    async def endless():
        nonlocal num_made
        while True:
            num_made += 1
            yield num_made

    with Inbox(endless(), interval_s=60.0) as inbox:
        for expected in range(1, 200):
            assert await inbox.get() == expected
            await asyncio.sleep(0)
            assert num_made <= expected + 64


async def test_an_exchange_ends_with_its_first_work_and_sends_what_was_put():
    box = outbox()

    async def speak() -> None:
        for number in range(3):
            box.put(number)

    async def listen() -> None:
        await asyncio.Event().wait()

    assert [message async for message in exchange(box, speak(), listen())] == [0, 1, 2]
