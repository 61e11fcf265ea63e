"""Plain tokens that the model decodes before they are asked for: the same, and not too many."""

import asyncio
import random
import threading

import pytest

from tiercel.decoding import Vocabulary
from tiercel.draft_stream import TokenSequence
from tiercel.engines import load
from tiercel.engines.language_model import Cache, Logits, Step
from tiercel.speculation.job import Ahead
from tiercel.speculation.judging import Terms
from tiercel.speculation.link import NO_DRAFT
from tiercel.speculation.runner import ModelRunner
from tiercel.speculation.session import Session
from tiercel.types import ModelDescription, SamplingParams

PROMPT = list(range(40, 60))
FAR = Ahead(1000)


class CountedModel:
    """A simulated model that counts its passes for each cache, and waits to be let go."""

    def __init__(self) -> None:
        self._model, self.tokenizer = load("simulated", "any")
        self.num_passes: dict[int, int] = {}
        self.free = threading.Event()
        self.free.set()

    @property
    def description(self) -> ModelDescription:
        return self._model.description

    def open(self, prefix: Cache | None = None, length: int = 0) -> Cache:
        return self._model.open(prefix, length)

    def extend(self, steps: list[Step]) -> list[Logits]:
        assert self.free.wait(timeout=60)
        for step in steps:
            self.num_passes[id(step.cache)] = self.num_passes.get(id(step.cache), 0) + 1
        return self._model.extend(steps)

    def close(self) -> None:
        self._model.close()


class Bench:
    """Sessions over one model."""

    def __init__(self) -> None:
        self.model = CountedModel()
        self.runner = ModelRunner(self.model)
        ids = range(self.model.description.vocab_size)
        self._vocabulary = Vocabulary.of([self.model.tokenizer.token_bytes(one) for one in ids])

    def open(self, tokens: list[int] = PROMPT) -> Session:
        terms = Terms(len(PROMPT), SamplingParams())
        return Session(self.runner, self._vocabulary, TokenSequence(tokens), terms)

    def num_passes(self, session: Session) -> int:
        return self.model.num_passes[id(session._memory.cache)]

    async def idle(self) -> None:
        """Wait until the model has nothing to do for the sessions there were."""
        for _ in range(2):
            await self.open().verify()

    async def plainly(self, tokens: list[int], number: int) -> list[int]:
        session, told = self.open(tokens), []
        for _ in range(number):
            told += (await session.verify()).token_ids
        return told


@pytest.fixture
async def bench():
    bench = Bench()
    yield bench
    bench.model.free.set()
    await asyncio.to_thread(bench.runner.close)


async def taken(session: Session, number: int, ahead: Ahead = FAR) -> list[int]:
    return [(await session.verify(NO_DRAFT, None, ahead)).token_ids[0] for _ in range(number)]


async def test_the_model_goes_ahead_a_few_tokens_and_they_are_the_plain_ones(bench: Bench):
    session = bench.open()
    assert await taken(session, 1) == await bench.plainly(PROMPT, 1)
    await bench.idle()
    assert session.is_ahead
    assert bench.num_passes(session) == 1 + 3
    assert await taken(session, 40) == (await bench.plainly(PROMPT, 41))[1:]


async def test_without_leave_the_model_waits(bench: Bench):
    session = bench.open()
    await session.verify()
    await bench.idle()
    assert not session.is_ahead
    assert bench.num_passes(session) == 1


async def test_it_goes_as_far_as_it_may(bench: Bench):
    session = bench.open()
    await taken(session, 3, Ahead(2))
    await bench.idle()
    assert bench.num_passes(session) == 3
    assert not session.is_ahead


async def test_a_stop_token_is_the_last(bench: Bench):
    expected = await bench.plainly(PROMPT, 3)
    session = bench.open()
    await taken(session, 2, Ahead(100, frozenset(expected[1:2])))
    await bench.idle()
    assert bench.num_passes(session) == 2


async def test_a_session_that_is_attended_to_goes_no_further(bench: Bench):
    session = bench.open()
    await taken(session, 1)
    session.attend()
    while session.is_ahead:
        await session.verify(NO_DRAFT, None, FAR)
    number = bench.num_passes(session)
    await bench.idle()
    assert bench.num_passes(session) == number


async def test_what_was_decoded_ahead_comes_to_nothing_when_the_sequence_changes(bench: Bench):
    choose = random.Random(5)
    session = bench.open()
    for _ in range(60):
        await taken(session, choose.randint(1, 5))
        if choose.random() < 0.5:
            session.cut(choose.randint(len(PROMPT), len(session.sequence)))
        if choose.random() < 0.5:
            session.append([choose.randint(70, 90) for _ in range(choose.randint(1, 4))])
        tokens = session.sequence.tokens()
        assert (await session.verify(NO_DRAFT, None, FAR)).token_ids == tuple(
            await bench.plainly(tokens, 1)
        )


async def test_a_change_while_it_waits_gives_none(bench: Bench):
    session = bench.open()
    bench.model.free.clear()
    waits = asyncio.create_task(session.verify(NO_DRAFT, None, FAR))
    await asyncio.sleep(0)
    session.append([70])
    bench.model.free.set()
    assert await waits is None
    assert await taken(session, 5) == await bench.plainly(session.sequence.tokens()[:-5], 5)


async def test_sessions_that_go_ahead_take_turns(bench: Bench):
    sessions = [bench.open([*PROMPT, number]) for number in range(70, 75)]
    told = await asyncio.gather(*(taken(session, 60) for session in sessions))
    for number, tokens in zip(range(70, 75), told, strict=True):
        assert tokens == await bench.plainly([*PROMPT, number], 60)


async def test_a_closed_session_is_forgotten(bench: Bench):
    session = bench.open()
    await taken(session, 2)
    cancelled = asyncio.create_task(session.verify(NO_DRAFT, None, FAR))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait({cancelled})
    session.close()
    await bench.idle()
    assert bench.runner.num_waiting == 0
    assert session._memory.cache is None
    assert len(bench.runner._waiting) == 0 and not bench.runner._waiting._dues
