"""Work on answers that have ended, off every request's path: it costs model time, nobody waits."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import structlog

from services.router import metrics
from services.router.background import in_background
from services.router.call import Call
from tiercel.errors import TiercelError
from tiercel.learning import Event
from tiercel.replies import Decision, Finished
from tiercel.sessions import DraftPrefix
from tiercel.types import Plan
from tiercel.wire.requests import TokenIds

log = structlog.get_logger(__name__)

_MAX_WAITING = 64
# How often a busy router is looked at again.
_LOOK_S = 0.1


@dataclass(frozen=True)
class Answered:
    """An answer that came to its end."""

    call: Call
    decision: Decision
    plan: Plan  # in force at the end, with addresses
    finished: Finished
    said: DraftPrefix  # the answer, in the ids of its root's tokenizer and as text
    prompt: TokenIds  # as the root had it


class Study(Protocol):
    """Something that can be learned from an answer by further work."""

    name: str

    def wants(self, call: Call, decision: Decision, plan: Plan) -> bool:
        """Say, at once, whether this answer is one to look at; perhaps by a draw."""
        ...

    async def look(self, answered: Answered) -> Sequence[Event]:
        """Return what was found; raises TiercelError if that could not be done."""
        ...


class OffPath:
    """A bounded queue of answers to study: one at a time, and only while no request waits.

    What finds no place is forgotten and counted: a sample stays a sample.
    """

    def __init__(
        self,
        studies: Sequence[Study],
        *,
        report: Callable[[Event], None],
        is_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """`report` takes what is found; nothing is begun while the router `is_busy`."""
        self._studies, self._report, self._is_busy = studies, report, is_busy
        self._waiting: deque[tuple[Study, Answered]] = deque()
        self._arrived = asyncio.Event()

    def offer(
        self,
        call: Call,
        decision: Decision,
        plan: Plan,
        finished: Finished,
        said: Callable[[], DraftPrefix],
        prompt: TokenIds,
    ) -> None:
        """Queue an answer for those studies that want it; never waits, never fails."""
        wanting = [one for one in self._studies if one.wants(call, decision, plan)]
        if not wanting:
            return
        answered = Answered(call, decision, plan, finished, said(), prompt)
        for study in wanting:
            if len(self._waiting) >= _MAX_WAITING:
                metrics.num_studies.labels(study.name, "dropped").inc()
            else:
                self._waiting.append((study, answered))
        self._arrived.set()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Work while the body runs."""
        async with in_background(self._work()):
            yield

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                while self._is_busy():
                    await asyncio.sleep(_LOOK_S)
                await self._study(*self._waiting.popleft())

    async def _study(self, study: Study, answered: Answered) -> None:
        result = "done"
        try:
            for event in await study.look(answered):
                self._report(event)
        except TiercelError as error:
            result = "failed"
            log.debug("an answer could not be studied", study=study.name, problem=str(error))
        except Exception:  # whatever it was, a router that learns no more is worse
            result = "failed"
            log.exception("a study failed", study=study.name)
        metrics.num_studies.labels(study.name, result).inc()
