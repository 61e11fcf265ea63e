"""Sessions over the torch engine: they share passes, pages and prefixes, and one limit."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.passes import random_tokens
from tests.tiny_model import tiny_gguf
from tiercel.decoding import Vocabulary
from tiercel.draft_stream import TokenSequence
from tiercel.engines import load
from tiercel.engines.language_model import Logits, Step
from tiercel.engines.torch import TorchModel
from tiercel.errors import Overloaded
from tiercel.speculation.judging import Terms
from tiercel.speculation.link import NO_DRAFT, Draft
from tiercel.speculation.runner import ModelRunner
from tiercel.speculation.session import Session
from tiercel.tokenizer import Tokenizer
from tiercel.types import SamplingParams

NUM_NEW = 24
CACHE_TOKENS = 800


class Shared:
    """One model and its runner, and the number of sequences in each pass."""

    def __init__(self, model: TorchModel, tokenizer: Tokenizer) -> None:
        self.model, self.batches = model, list[int]()
        real = model.extend

        def noted(steps: list[Step]) -> list[Logits]:
            self.batches.append(len(steps))
            return real(steps)

        model.extend = noted  # type: ignore[assignment,method-assign]
        self.runner = ModelRunner(model, prefix_cache_tokens=128)
        ids = range(model.description.vocab_size)
        self._vocabulary = Vocabulary.of([tokenizer.token_bytes(token_id) for token_id in ids])

    async def answer(self, prompt: list[int], num_new: int = NUM_NEW) -> list[int]:
        """Decode greedily; every third block is a draft of three, which is mostly wrong."""
        terms = Terms(len(prompt), SamplingParams())
        session = Session(self.runner, self._vocabulary, TokenSequence(prompt), terms)
        try:
            while (length := len(session.sequence) - len(prompt)) < num_new:
                await session.verify(Draft((7, 8, 9)) if length % 3 == 0 else NO_DRAFT)
            return session.sequence.tokens(len(prompt))[:num_new]
        finally:
            session.close()


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    options = {"device": "cpu", "threads": 1, "cache_tokens": CACHE_TOKENS}
    model, tokenizer = load("torch", str(tiny_gguf(tmp_path)), **options)  # type: ignore[arg-type]
    assert isinstance(model, TorchModel)
    made = Shared(model, tokenizer)
    yield made
    made.runner.close()


def prompts(count: int) -> list[list[int]]:
    """Prompts of different lengths, of which every second one begins like the first."""
    beginning = random_tokens(20, 269)
    return [
        (beginning if n % 2 == 0 else []) + random_tokens(5 + 4 * n, 269, seed=n)
        for n in range(count)
    ]


async def test_sessions_at_once_say_what_each_says_alone(shared: Shared) -> None:
    asked = prompts(8)
    alone = [await shared.answer(prompt) for prompt in asked]
    assert max(shared.batches) == 1
    together = await asyncio.gather(*(shared.answer(prompt) for prompt in asked))
    assert together == alone
    assert max(shared.batches) > 4, "they shared passes"


async def test_who_finds_no_room_is_refused_and_the_others_go_on(shared: Shared) -> None:
    small, large = prompts(4), random_tokens(400, 269, seed=9)
    alone = [await shared.answer(prompt) for prompt in small]
    asked = [shared.answer(large), *(shared.answer(p) for p in small), shared.answer(large[::-1])]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert found[1:5] == alone
    refused = [one for one in (found[0], found[5]) if isinstance(one, Overloaded)]
    assert len(refused) == 1
    assert len(await shared.answer(large)) == NUM_NEW, "there is room again"
