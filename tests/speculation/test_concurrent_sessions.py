"""Sessions that run at once, through real sockets: each answer is that of a session alone."""

import asyncio
from collections.abc import Callable
from functools import cache

import pytest

from services.verifier.servicer import VerifierServicer
from tests.speculation.answers import Answer, answer, ask, plain
from tests.speculation.fleet import SMOLLM2, BorrowedModel, Fleet, Replica, Weights
from tiercel import engines
from tiercel.engines.language_model import LanguageModel
from tiercel.sessions import Ask
from tiercel.speculation.model_tier import Habits, ModelTier
from tiercel.speculation.prefixes import _num_common
from tiercel.speculation.runner import ModelRunner
from tiercel.tokenizer import Tokenizer

SYSTEM = "You are a falcon. You answer with the calm of one who sees everything from above. "
NUM_CLIENTS = 8
SIMULATED = "any?per_token_s=0.0002"

Starter = Callable[[Fleet, int], "asyncio.Future[Replica]"]


async def onnx(fleet: Fleet, prefix_cache_tokens: int) -> Replica:
    weights = Weights("int4")
    return await fleet.model("root", weights, prefix_cache_tokens=prefix_cache_tokens)


async def simulated(fleet: Fleet, prefix_cache_tokens: int) -> Replica:
    return await serving(fleet, prefix_cache_tokens, *engines.load("simulated", SIMULATED))


async def native(fleet: Fleet, prefix_cache_tokens: int) -> Replica:
    return await serving(fleet, prefix_cache_tokens, *native_model())


@cache
def native_model() -> tuple[BorrowedModel, Tokenizer]:
    model, tokenizer = engines.load("native", SMOLLM2, dtype="int4", threads=1)
    return BorrowedModel(model), tokenizer


async def serving(
    fleet: Fleet, prefix_cache_tokens: int, model: LanguageModel, tokenizer: Tokenizer
) -> Replica:
    def build() -> tuple[ModelTier, VerifierServicer]:
        runner = ModelRunner(model, prefix_cache_tokens=prefix_cache_tokens)
        tier = ModelTier("root", runner, tokenizer, Habits())
        return tier, VerifierServicer(tier, max_request_s=150.0)

    return await fleet.start("root", build)


@pytest.fixture(params=[onnx, native, simulated], ids=["tiny onnx", "native", "simulated"])
def start(request: pytest.FixtureRequest) -> Starter:
    return request.param


def questions() -> list[Ask]:
    """Prompts of many lengths, greedy and sampled; half begin with the same words."""
    return [
        ask(
            (SYSTEM if index % 2 else "") + "why? " * (1 + 7 * index),
            max_new_tokens=30 + index,
            ignore_eos=True,
            temperature=0.4 * (index % 3),
            seed=index,
        )
        for index in range(NUM_CLIENTS)
    ]


async def at_once(fleet: Fleet, root: Replica) -> list[Answer]:
    return await asyncio.gather(*(plain(fleet, root, asked) for asked in questions()))


async def one_by_one(fleet: Fleet, root: Replica) -> list[Answer]:
    return [await plain(fleet, root, asked) for asked in questions()]


@pytest.mark.parametrize("prefix_cache_tokens", [0, 2000])
async def test_answers_at_once_are_those_of_sessions_alone(
    fleet: Fleet, start: Starter, prefix_cache_tokens: int
):
    expected = await one_by_one(fleet, await start(fleet, 0))
    root = await start(fleet, prefix_cache_tokens)
    for _ in range(2):
        got = await at_once(fleet, root)
        assert [one.same for one in got] == [one.same for one in expected]


async def test_drafters_of_sessions_at_once(fleet: Fleet):
    root = await onnx(fleet, 2000)
    good = await fleet.model("good", Weights("int8"))
    expected = await one_by_one(fleet, root)
    plan = root.plan(good.plan())
    got = await asyncio.gather(*(answer(fleet, root, plan, asked) for asked in questions()))
    assert [one.same for one in got] == [one.same for one in expected]
    assert sum(one.pair("good").num_accepted_tokens for one in got) > 0


async def test_a_repeated_prompt_is_not_fed_again(fleet: Fleet, start: Starter):
    root, bare = await start(fleet, 2000), await start(fleet, 0)
    asked = ask(SYSTEM + "Who are you?", max_new_tokens=20, ignore_eos=True)
    other = ask(SYSTEM + "How are you?", max_new_tokens=20, ignore_eos=True)
    first, again = [await plain(fleet, root, asked) for _ in range(2)]
    alike, without = await plain(fleet, root, other), await plain(fleet, bare, other)
    num_tokens = again.end.usage.num_prompt_tokens
    assert cached(first) == cached(without) == 0
    assert cached(again) == num_tokens - 1
    assert num_tokens - 20 < cached(alike) < num_tokens - 1
    assert first.same == again.same
    assert alike.same == without.same


def cached(got: Answer) -> int:
    return got.tier("root").num_cached_prompt_tokens


async def test_a_wrong_prefix_would_be_seen(fleet: Fleet, monkeypatch: pytest.MonkeyPatch):
    """The negative control: a copy whose last token is another one changes the answer."""
    root, bare = await onnx(fleet, 2000), await onnx(fleet, 0)
    await plain(fleet, root, ask(SYSTEM, max_new_tokens=20))
    other = ask(SYSTEM[:-9] + "below ye ", max_new_tokens=20, ignore_eos=True)
    monkeypatch.setattr("tiercel.speculation.prefixes._num_common", one_too_many)
    wrong = await plain(fleet, root, other)
    assert cached(wrong) > 16
    assert wrong.logprobs != (await plain(fleet, bare, other)).logprobs


def one_too_many(one: bytes, other: bytes) -> int:
    return min(_num_common(one, other) + 1, len(one) // 4, len(other) // 4)
