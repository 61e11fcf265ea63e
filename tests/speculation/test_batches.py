"""Several sessions in one pass: each gets what it would get alone, and none harms another."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest

from tiercel.engines import load
from tiercel.engines.language_model import Cache, Logits, Step
from tiercel.errors import InvalidRequest, ModelFault, Overloaded
from tiercel.speculation.runner import ModelRunner
from tiercel.speculation.turn import Memory, Turn
from tiercel.types import ModelDescription

POISON = 99


class WatchedModel:
    """A simulated model that notes its passes, waits to be let go, and chokes on a token."""

    def __init__(self) -> None:
        self._model, _ = load("simulated", "any")
        self.passes: list[list[int]] = []  # the tokens of each step of each pass
        self.caches: list[Cache] = []
        self.free = threading.Event()
        self.free.set()
        self.error: Exception = ModelFault("poison")
        self.room = 10**9  # tokens that all caches together hold

    @property
    def description(self) -> ModelDescription:
        return self._model.description

    def open(self, prefix: Cache | None = None, length: int = 0) -> Cache:
        self.caches.append(self._model.open(prefix, length))
        return self.caches[-1]

    def extend(self, steps: list[Step]) -> list[Logits]:
        assert self.free.wait(timeout=150)
        self.passes.append([len(step.tokens) for step in steps])
        held = sum(max(0, cache.length) for cache in self.caches)
        if held + sum(len(step.tokens) for step in steps) > self.room:
            raise Overloaded("no room")
        for step in steps:
            if POISON in step.tokens:
                raise self.error
            self._model.extend([step])
            step.cache.truncate(step.cache.length - len(step.tokens))
        return self._model.extend(steps)

    def close(self) -> None:
        self._model.close()

    @property
    def num_open(self) -> int:
        return sum(cache.length >= 0 for cache in self.caches)


@pytest.fixture
def model() -> Iterator[WatchedModel]:
    model = WatchedModel()
    yield model
    model.free.set()


@pytest.fixture
async def runner(model: WatchedModel) -> AsyncIterator[ModelRunner]:
    runner = ModelRunner(model, prefix_cache_tokens=1000)
    yield runner
    await asyncio.to_thread(runner.close)


def choices(logits: Logits) -> list[int]:
    return [int(token) for token in np.argmax(logits, axis=1)]


def turn(tokens: list[int], memory: Memory | None = None, start: int = 0, **fields) -> Turn:
    options = {"num_logits": 1, "judge": choices, "is_stale": lambda: False} | fields
    return Turn(memory or Memory(len(tokens)), start, tokens, **options)


def alone(tokens: list[int], num_logits: int = 1) -> list[int]:
    model, _ = load("simulated", "any")
    return choices(model.extend([Step(model.open(), tokens, num_logits)])[0])


async def held(runner: ModelRunner, model: WatchedModel, *turns: Turn) -> list[asyncio.Task]:
    """Hold the model in a pass over one lone turn, and let the others wait behind it."""
    model.free.clear()
    first = asyncio.create_task(runner.run(turn([1, 2])))
    tasks = [asyncio.create_task(runner.run(each)) for each in turns]
    while runner.num_waiting < 1 + len(turns):
        await asyncio.sleep(0)
    return [first, *tasks]


def prompts(count: int) -> list[list[int]]:
    return [[100 + index, *range(3 + index)] for index in range(count)]


async def test_what_waits_shares_a_pass(runner: ModelRunner, model: WatchedModel):
    tasks = await held(runner, model, *(turn(prompt) for prompt in prompts(8)))
    assert runner.num_waiting_passes == 0, "another turn would share their pass"
    model.free.set()
    results = await asyncio.gather(*tasks)
    assert results == [alone([1, 2]), *(alone(prompt) for prompt in prompts(8))]
    assert model.passes == [[2], [len(prompt) for prompt in prompts(8)]]


async def test_a_queue_is_as_long_as_the_passes_that_it_needs(
    runner: ModelRunner, model: WatchedModel
):
    most = runner.description.max_batch_rows
    full = [turn([index % 90 for index in range(most)]) for _ in range(3)]
    tasks = await held(runner, model, *full, turn([1]))
    assert runner.num_waiting_passes == 3
    model.free.set()
    await asyncio.gather(*tasks)
    assert runner.num_waiting_passes == 0


async def test_a_lone_session_starts_at_once(runner: ModelRunner, model: WatchedModel):
    memory = Memory()
    assert await runner.run(turn([1, 2, 3], memory, num_logits=2)) == alone([1, 2, 3], 2)
    assert await runner.run(turn([4], memory, start=3)) == alone([1, 2, 3, 4])
    assert await runner.run(turn([5], memory, start=2)) == alone([1, 2, 5])
    assert model.passes == [[3], [1], [1]]


@pytest.mark.parametrize("error", [ModelFault("NaN"), InvalidRequest("a", 1, "b"), OSError("c")])
async def test_a_fault_ends_its_own_turn_only(
    runner: ModelRunner, model: WatchedModel, error: Exception
):
    model.error = error
    good = prompts(4)
    bad = turn([*good[0], POISON])
    tasks = await held(runner, model, *map(turn, good[:2]), bad, *map(turn, good[2:]))
    model.free.set()
    first, *rest = await asyncio.gather(*tasks, return_exceptions=True)
    assert first == alone([1, 2])
    assert rest[2] is error
    assert [rest[0], rest[1], rest[3], rest[4]] == [alone(prompt) for prompt in good]
    # A session whose pass failed can go on.
    assert await runner.run(turn([7], bad.memory)) == alone([7])


async def test_a_verdict_that_fails_ends_its_own_turn_only(
    runner: ModelRunner, model: WatchedModel
):
    def judge(logits: Logits) -> None:
        raise ModelFault("no verdict")

    tasks = await held(runner, model, turn([5, 6]), turn([5, 6, 7], judge=judge), turn([8]))
    model.free.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[2], ModelFault)
    assert [results[1], results[3]] == [alone([5, 6]), alone([8])]


async def test_a_cancelled_turn_never_starts(runner: ModelRunner, model: WatchedModel):
    tasks = await held(runner, model, turn([3, 4, 5]), turn([6]))
    tasks[1].cancel()
    await asyncio.wait([tasks[1]])
    model.free.set()
    await asyncio.gather(tasks[0], tasks[2])
    assert model.passes == [[2], [1]]
    assert runner.num_waiting == 0


async def test_cancelling_one_in_the_pass_leaves_the_others(
    runner: ModelRunner, model: WatchedModel
):
    tasks = await held(runner, model)
    tasks += [asyncio.create_task(runner.run(turn(prompt))) for prompt in prompts(3)]
    tasks[0].cancel()
    await asyncio.wait([tasks[0]])
    model.free.set()
    assert await asyncio.gather(*tasks[1:]) == [alone(prompt) for prompt in prompts(3)]


async def test_a_stale_turn_ends_without_a_pass(runner: ModelRunner, model: WatchedModel):
    tasks = await held(runner, model, turn([3, 4], is_stale=lambda: True), turn([5]))
    model.free.set()
    assert await asyncio.gather(*tasks) == [alone([1, 2]), None, alone([5])]
    assert model.passes == [[2], [1]]


async def test_a_long_prompt_does_not_stall_the_others(runner: ModelRunner, model: WatchedModel):
    most = runner.description.max_batch_rows
    prompt = [index % 90 for index in range(4 * most)]
    long = asyncio.create_task(runner.run(turn(prompt)))
    memory, said = Memory(), [1, 2]
    while not long.done():
        start = max(0, len(said) - 1) if memory.cache else 0
        said += await runner.run(turn(said[start:], memory, start))
    assert await long == alone(prompt)
    for length in range(3, len(said) + 1):
        assert said[length - 1 :][:1] == alone(said[: length - 1])
    assert max(sum(rows) for rows in model.passes) <= most
    shared = [rows for rows in model.passes if len(rows) == 2]
    assert len(shared) >= 3  # the long one's pieces go along with the other's tokens


async def test_results_come_in_the_order_of_the_turns(runner: ModelRunner, model: WatchedModel):
    order: list[int] = []

    async def note(index: int, prompt: list[int]) -> None:
        await runner.run(turn(prompt))
        order.append(index)

    await held(runner, model)
    tasks = [asyncio.create_task(note(*each)) for each in enumerate(prompts(8))]
    await asyncio.sleep(0)
    model.free.set()
    await asyncio.gather(*tasks)
    assert order == list(range(8))


async def test_kept_caches_give_up_their_room(runner: ModelRunner, model: WatchedModel):
    tokens, other = list(range(60)), [40, *range(50)]
    memory = Memory(len(tokens))
    await runner.run(turn(tokens, memory))
    runner.release(memory, tokens)
    model.room = 90
    assert await runner.run(turn(other)) == alone(other)
    assert model.num_open == 1


async def test_prompts_that_are_known_share_a_pass(runner: ModelRunner, model: WatchedModel):
    """Their rest is narrow: the room that they do not need is the next one's."""
    most = runner.description.max_batch_rows
    known = [index % 90 for index in range(most)]
    memory = Memory(len(known))
    await runner.run(turn(known, memory))
    prompts = [[*known, index, 5, 6] for index in range(4)]
    tasks = await held(runner, model, *(turn(prompt) for prompt in prompts))
    model.passes.clear()
    model.free.set()
    assert (await asyncio.gather(*tasks))[1:] == [alone(prompt) for prompt in prompts]
    assert model.passes == [[2], [3] * 4]
