"""Answers read over a real connection, and what they have to be."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from tests.faults.services import HEARTBEAT_S
from tiercel import rpc
from tiercel.clients.verifier import GenerateSession, open_session
from tiercel.engines.language_model import Step
from tiercel.engines.simulated import SimulatedModel
from tiercel.engines.simulated_tokenizer import byte_tokenizer, letter_ids
from tiercel.replies import Committed
from tiercel.sessions import Ask, DrafterLost, Opened, SessionEnd, SessionEvent
from tiercel.types import Plan, SamplingParams, StopConditions

PROMPT = "A falcon learns to share."


class Reading:
    """One answer as it comes in; checks that every token comes once and in order."""

    def __init__(self, session: GenerateSession) -> None:
        self.session = session
        self._events = session.events()
        self.opened: Opened | None = None
        self.token_ids: list[int] = []
        self.sources: list[str] = []
        self.text = ""
        self.lost: list[DrafterLost] = []
        self.ends: list[SessionEnd] = []

    @property
    def end(self) -> SessionEnd:
        """The one end of the answer."""
        [end] = self.ends
        return end

    async def until(self, condition: Callable[[], bool]) -> None:
        """Read on until the condition holds; it must before the answer ends."""
        while not condition():
            self._take(await anext(self._events))
            assert condition() or not self.ends, "the answer ended before"

    async def to_the_end(self) -> "Reading":
        """Read all that is left."""
        async for event in self._events:
            self._take(event)
        assert self.ends, "an answer must end"
        return self

    async def drafted_by(self, tier: str) -> None:
        """Read on until a token comes, from here on, that `tier` proposed first."""
        start = len(self.sources)
        await self.until(lambda: tier in self.sources[start:])

    def _take(self, event: SessionEvent) -> None:
        assert not self.ends, "nothing may follow the end"
        if isinstance(event, Opened):
            assert self.opened is None and not self.token_ids
            self.opened = event
        elif isinstance(event, Committed):
            self._take_tokens(event)
        elif isinstance(event, DrafterLost):
            self.lost.append(event)
        else:
            self.ends.append(event)

    def _take_tokens(self, event: Committed) -> None:
        assert event.position == len(self.token_ids)
        self.token_ids += event.token_ids
        self.sources += [span.tier for span in event.spans for _ in range(span.num_tokens)]
        self.text += event.text
        assert len(self.sources) == len(self.token_ids)


@asynccontextmanager
async def asked(
    address: str,
    plan: Plan,
    *,
    max_new_tokens: int = 64,
    timeout_s: float | None = 170.0,
    heartbeat_s: float = HEARTBEAT_S,
    temperature: float = 0.0,
) -> AsyncIterator[Reading]:
    """Ask the tier at `address` to answer the one prompt of these tests."""
    stop = StopConditions(max_new_tokens=max_new_tokens)
    ask = Ask("faults", PROMPT, SamplingParams(temperature=temperature, seed=7), stop)
    async with (
        rpc.channel(address) as channel,
        open_session(channel, ask, plan, timeout_s=timeout_s, heartbeat_s=heartbeat_s) as session,
    ):
        yield Reading(session)


async def answer(address: str, plan: Plan, **options) -> Reading:
    """Return a whole answer."""
    async with asked(address, plan, **options) as reading:
        return await reading.to_the_end()


class Oracle:
    """The simulated model of these tests, asked without any service: one token at a time."""

    def __init__(self) -> None:
        tokenizer = byte_tokenizer()
        self._model = SimulatedModel("oracle", tokenizer.vocab_size, letter_ids(tokenizer))
        self._cache = self._model.open()
        self._fed: Sequence[int] = tokenizer.encode(PROMPT, add_special=True)
        self._token_ids: list[int] = []

    def answer(self, num_tokens: int) -> list[int]:
        """Return the first tokens of the answer to the prompt."""
        while len(self._token_ids) < num_tokens:
            [logits] = self._model.extend([Step(self._cache, self._fed, 1)])
            self._token_ids.append(int(logits[0].argmax()))
            self._fed = self._token_ids[-1:]
        return self._token_ids[:num_tokens]


_oracle = Oracle()


def expected(num_tokens: int) -> list[int]:
    """Return what plain decoding answers to the prompt."""
    return _oracle.answer(num_tokens)
