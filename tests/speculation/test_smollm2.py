"""On the real model: three levels say what the target alone says, and a twin is never wrong."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.speculation.answers import Answer, answer, ask, plain
from tests.speculation.fleet import SMOLLM2, Fleet, Models, Replica, Weights
from tiercel.types import Message, Plan
from tiercel.wire.requests import Prompt

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUM_TOKENS = 12
SAMPLED = [
    {"temperature": 0.8, "seed": 11},
    {"temperature": 0.8, "top_p": 0.9, "seed": 12},
    {"temperature": 0.8, "top_k": 40, "seed": 13},
    {"temperature": 1.0, "top_k": 50, "top_p": 0.95, "seed": 2**64 - 1},
]


def chat(*turns: str) -> Prompt:
    roles = ("user", "assistant")
    return tuple(Message(roles[index % 2], turn) for index, turn in enumerate(turns))


PROMPTS: dict[str, Prompt] = {
    "question": chat("What is the capital of Portugal?"),
    "arithmetic": chat("What is 17 times 3? Think step by step."),
    "story": chat("Write a short story about a falcon who learns to share."),
    "list": chat("List five fruits, one on each line."),
    "code": chat("Write a Python function that reverses a string."),
    "code to go on": "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "translation": chat("Translate to French: The cat sleeps on the chair."),
    "summary": chat("Summarize in a sentence: Bees make honey. They live in hives. They dance."),
    "several turns": chat("My name is Ada.", "Nice to meet you, Ada!", "What is my name?"),
    "system": (Message("system", "Answer in one word."), Message("user", "Is water wet?")),
    "repetition": chat("Repeat this ten times: tick tock tick tock"),
    "letters to copy": chat("Copy exactly: qX7-zz9 //__ qX7-zz9 //__"),
    "json": chat('Return JSON with the keys "name" and "age" for Bob, who is 42.'),
    "poem": chat("Write a four line poem about rain."),
    "rewrite": chat("Make this polite: Give me the report now."),
    "classification": chat("Is this review good or bad? 'The soup was cold.'"),
    "plain text": "The history of the bicycle begins in",
    "one letter": "A",
    "numbers": "1 2 3 4 5 6 7 8 9",
    "other scripts": chat("Übersetze: 猫が好きです。 И ещё: ça va? 🦉"),
    "table": "| name | price |\n|------|-------|\n| tea  | 2.50  |\n| milk |",
    "dialogue": "Customer: My parcel is late.\nAgent:",
    "long": chat("Here is a text. " + "The river runs past the old mill. " * 34 + "What runs?"),
}


class Chain:
    """The tiers of a three-level chain from one model, and a twin of the root."""

    def __init__(self, fleet: Fleet, root: Replica, middle: Replica, suffix: Replica) -> None:
        self.fleet, self.root, self.middle, self.suffix = fleet, root, middle, suffix

    @property
    def three_levels(self) -> Plan:
        return self.root.plan(self.middle.plan(self.suffix.plan()))

    @property
    def two_levels(self) -> Plan:
        return self.root.plan(self.middle.plan())

    @property
    def two_drafters(self) -> Plan:
        return self.root.plan(self.middle.plan(), self.suffix.plan(num_speculative_tokens=8))

    async def same(self, plan: Plan, prompt: Prompt, sampling: dict) -> Answer:
        asked = ask(prompt, max_new_tokens=NUM_TOKENS, **sampling)
        got = await answer(self.fleet, self.root, plan, asked)
        assert not got.lost
        assert got.same == (await plain(self.fleet, self.root, asked)).same
        return got


WEIGHTS = {
    "fp32": Weights("fp32", model=SMOLLM2),
    "int4": Weights("int4", model=SMOLLM2, engine="native"),
}


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[("fp32", "int4"), ("int4", "fp32")],
    ids=["fp32 root", "int4 root"],
)
async def chain(models: Models, request: pytest.FixtureRequest) -> AsyncIterator[Chain]:
    fleet = Fleet(models)
    # A model is loaded once for each name: the same two serve both chains.
    root, middle = [await fleet.model(name, WEIGHTS[name]) for name in request.param]
    yield Chain(fleet, root, middle, await fleet.suffix())
    await fleet.close()


async def test_the_models_are_bit_exact(chain: Chain):
    assert chain.root.tier.describe().bit_exact and chain.middle.tier.describe().bit_exact


@pytest.mark.parametrize("kind", PROMPTS)
async def test_three_levels_say_what_the_target_alone_says(chain: Chain, kind: str):
    number = list(PROMPTS).index(kind)
    samplings = [{}, SAMPLED[number % len(SAMPLED)]]
    if chain.root.name == "fp32":  # slow: one prompt greedily, the next one sampled
        samplings = [samplings[number % 2]]
    for sampling in samplings:
        got = await chain.same(chain.three_levels, PROMPTS[kind], sampling)
        assert got.token_ids


@pytest.mark.parametrize("shape", ["two_levels", "two_drafters"])
@pytest.mark.parametrize("kind", ["question", "code", "other scripts"])
async def test_other_plans_say_what_the_target_alone_says(chain: Chain, shape: str, kind: str):
    for sampling in ({}, SAMPLED[0]):
        got = await chain.same(getattr(chain, shape), PROMPTS[kind], sampling)
        assert len(set(got.sources)) > 1, "nothing was drafted"


async def test_a_twin_is_never_wrong(models: Models):
    fleet = Fleet(models)
    root, twin = [await fleet.model(name, WEIGHTS["int4"]) for name in ("int4", "twin")]
    chain = Chain(fleet, root, twin, await fleet.suffix())
    for kind in ("code", "other scripts"):
        for sampling in ({}, SAMPLED[1]):
            for plan in (chain.two_levels, chain.three_levels):
                pair = (await chain.same(plan, PROMPTS[kind], sampling)).pair("twin")
                assert pair.num_accepted_tokens > 0 and pair.num_rejected_tokens == 0
    await fleet.close()
