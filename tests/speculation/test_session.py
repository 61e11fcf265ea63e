"""A sequence that changes while a pass runs: the pass comes to nothing, and leaves nothing."""

import asyncio
from typing import TypeVar

import pytest

from tests.speculation.answers import HOT
from tests.speculation.fleet import Models, Weights
from tiercel.decoding import Vocabulary
from tiercel.draft_stream import TokenSequence
from tiercel.speculation.judging import Terms
from tiercel.speculation.link import NO_DRAFT, Draft
from tiercel.speculation.runner import ModelRunner
from tiercel.speculation.session import Session
from tiercel.speculation.turn import Turn
from tiercel.types import SamplingParams

T = TypeVar("T")

PROMPT = list(range(40, 60))


class HeldRunner(ModelRunner):
    """Keeps the result of a pass back until it is let go."""

    def __init__(self, *wiring, **options) -> None:
        super().__init__(*wiring, **options)
        self.done, self.free = asyncio.Event(), asyncio.Event()
        self.free.set()

    async def run(self, turn: Turn[T]) -> T | None:
        result = await super().run(turn)
        self.done.set()
        await self.free.wait()
        return result


class Sessions:
    """Sessions over one runner, where prompts are shared; what is expected comes from another."""

    def __init__(self, models: Models) -> None:
        model, tokenizer = models.load("session", Weights())
        self.runner = HeldRunner(model, prefix_cache_tokens=1000)
        self._apart = ModelRunner(model)
        ids = range(model.description.vocab_size)
        self._vocabulary = Vocabulary.of([tokenizer.token_bytes(token_id) for token_id in ids])

    def open(self, tokens: list[int]) -> Session:
        return self._session(self.runner, tokens)

    async def expected(self, tokens: list[int]) -> tuple:
        """What a session that never was anything else says after `tokens`."""
        return said(await self._session(self._apart, tokens).verify(NO_DRAFT, 3))

    def _session(self, runner: ModelRunner, tokens: list[int]) -> Session:
        terms = Terms(len(PROMPT), SamplingParams(**HOT))
        return Session(runner, self._vocabulary, TokenSequence(tokens), terms)


def said(verified) -> tuple:
    return verified.token_ids, verified.logprobs


@pytest.fixture
def sessions(models: Models) -> Sessions:
    return Sessions(models)


@pytest.mark.parametrize("kept", [20, 21, 24, 29])
@pytest.mark.parametrize("num_new", [0, 1, 2, 6, 15])
async def test_a_cut_while_a_pass_runs(sessions: Sessions, kept: int, num_new: int):
    tokens = [*PROMPT, *range(70, 80)]
    session = sessions.open(tokens)
    sessions.runner.free.clear()
    running = asyncio.create_task(session.verify(Draft((90, 91)), None))
    await sessions.runner.done.wait()
    session.cut(kept)
    if num_new:
        session.append(range(100, 100 + num_new))
    sessions.runner.free.set()
    assert await running is None
    now = [*tokens[:kept], *range(100, 100 + num_new)]
    assert session.sequence.tokens() == now
    assert said(await session.verify(NO_DRAFT, 3)) == await sessions.expected(now)


async def test_tokens_appended_while_a_pass_runs(sessions: Sessions):
    session = sessions.open(PROMPT)
    sessions.runner.free.clear()
    running = asyncio.create_task(session.verify(NO_DRAFT, None))
    await sessions.runner.done.wait()
    session.append([70, 71, 72])
    sessions.runner.free.set()
    assert await running is None
    assert said(await session.verify(NO_DRAFT, 3)) == await sessions.expected([*PROMPT, 70, 71, 72])


async def test_a_cut_in_the_middle_of_a_long_prefill(sessions: Sessions):
    tokens = [*PROMPT, *(60 + index % 150 for index in range(300))]
    session = sessions.open(tokens)
    sessions.runner.free.clear()
    running = asyncio.create_task(session.verify(NO_DRAFT, None))
    await sessions.runner.done.wait()
    session.cut(50)
    session.append(range(100, 140))
    sessions.runner.free.set()
    assert await running is None
    now = [*tokens[:50], *range(100, 140)]
    assert said(await session.verify(NO_DRAFT, 3)) == await sessions.expected(now)


async def test_verdicts_do_not_depend_on_what_was_tried_before(sessions: Sessions):
    """Wrong drafts, cuts and restatements, over and over, on one session."""
    session, truth = sessions.open(PROMPT), list(PROMPT)
    for turn in range(40):
        expected = await sessions.expected(truth)
        wrong = [(expected[0][0] + 1 + turn) % 250 for _ in range(turn % 9)]
        draft = wrong if turn % 3 else [*expected[0], *wrong]
        verified = await session.verify(Draft(tuple(draft)), 3)
        assert (verified.token_ids[:1], verified.logprobs[:1]) == expected
        if turn % 4 == 3:
            session.cut(len(truth) + 1 - turn % 2)
            session.append(expected[0][: turn % 2])
        else:
            session.cut(len(truth) + 1)
        truth += expected[0]
        assert session.sequence.tokens() == truth


@pytest.mark.parametrize("kept", [0, 5, 17, 18, 19])
async def test_nobody_starts_from_a_prompt_that_was_cut(sessions: Sessions, kept: int):
    first, other = sessions.open(PROMPT), [*PROMPT[:kept], *range(120, 160)]
    await first.verify(NO_DRAFT, 3)
    first.cut(kept)
    first.append(other[kept:])
    # Until its next pass, its cache holds what it held.
    assert said(await sessions.open(PROMPT).verify(NO_DRAFT, 3)) == await sessions.expected(PROMPT)
    # Offsets, and so the noise, are not for prompts that change; the logits are right.
    _, expected = await sessions.expected(other)
    assert (await first.verify(NO_DRAFT, 3)).logprobs[0].top == expected[0].top
    for tokens in (PROMPT, [*PROMPT, 70, 71], other):
        expected = await sessions.expected(tokens)
        assert said(await sessions.open(tokens).verify(NO_DRAFT, 3)) == expected


@pytest.mark.parametrize("num_passes", [0, 1, 3])
async def test_an_ended_session_leaves_what_it_held(sessions: Sessions, num_passes: int):
    first = sessions.open(PROMPT)
    for turn in range(num_passes):
        await first.verify(Draft((77,) * turn), 3)
    said_so_far = first.sequence.tokens()
    first.cut(len(said_so_far) - (num_passes > 1))
    first.append([88, 89])
    first.close()
    for tokens in (PROMPT, [*said_so_far, 5], first.sequence.tokens(), [*PROMPT, 90]):
        again = sessions.open(tokens)
        assert said(await again.verify(NO_DRAFT, 3)) == await sessions.expected(tokens)
        if num_passes:
            assert 0 < again.stats("x").num_cached_prompt_tokens <= len(PROMPT)
        again.close()
