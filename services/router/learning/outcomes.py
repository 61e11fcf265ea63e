"""Tells feedback what came of each decision, and what else was found, off the request's path."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from services.router import metrics
from services.router.background import in_background
from services.router.learning.spool import Spool
from tiercel.clients.feedback import FeedbackClient
from tiercel.dead_letters import DeadLetters
from tiercel.errors import DeadlineExceeded, InvalidRequest, Overloaded, TiercelError, Unavailable
from tiercel.learning import Event

log = structlog.get_logger(__name__)

_MAX_WAITING = 1024
_MAX_BATCH = 64
_MAX_ATTEMPTS = 6
_PARTING_S = 1.0
# How often what waits on disk is tried.
_LOOK_S = 5.0
_MAY_PASS = (Unavailable, Overloaded, DeadlineExceeded)


class OutcomeReporter:
    """A bounded queue to feedback: when it is full the oldest events are dropped and counted.

    With a spool, what feedback cannot be told for now waits on disk, over restarts too; with dead
    letters, what feedback refuses is kept there.
    """

    def __init__(self, spool: Spool | None = None, dead_letters: DeadLetters | None = None) -> None:
        self._spool, self._dead_letters = spool, dead_letters
        self._waiting: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._is_reporting = False
        self._num_suspects = 0  # first in the queue, of a batch that was refused

    def put(self, event: Event) -> None:
        """Report `event` when feedback can be told; never waits, never fails.

        Without feedback, that is outside `reporting`, it is forgotten.
        """
        if not self._is_reporting:
            return
        if len(self._waiting) >= _MAX_WAITING:
            # Many at once to disk, so that few requests pay for it.
            number = 1 if self._spool is None else _MAX_WAITING // 4
            self._put_by([self._waiting.popleft() for _ in range(number)])
        self._waiting.append(event)
        self._arrived.set()

    @asynccontextmanager
    async def reporting(self, feedback: FeedbackClient) -> AsyncIterator[None]:
        """Report while the body runs; what is left at its end gets one more second."""
        self._is_reporting = True
        try:
            async with in_background(self._report_all(feedback)):
                yield
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PARTING_S):
                    await self._report_waiting(feedback)
            self._put_by(list(self._waiting))
            if self._spool is not None:
                self._spool.close()

    async def _report_all(self, feedback: FeedbackClient) -> None:
        while True:
            await self._report_spooled(feedback)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S if self._spool else None):
                    await self._arrived.wait()
            self._arrived.clear()
            await self._report_waiting(feedback)

    async def _report_spooled(self, feedback: FeedbackClient) -> None:
        """Tell what waits on disk, as long as feedback takes it."""
        while self._spool and (batch := self._spool.oldest(_MAX_BATCH)):
            try:
                await feedback.report(batch)
            except InvalidRequest as error:
                self._refused(batch, error)
                self._arrived.set()
            except TiercelError:
                return
            self._spool.told(len(batch))
            metrics.num_spooled.set(len(self._spool))

    async def _report_waiting(self, feedback: FeedbackClient) -> None:
        while batch := self._next_batch():
            await self._report(feedback, batch)

    async def _report(self, feedback: FeedbackClient, batch: list[Event]) -> None:
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(_MAY_PASS),
                stop=stop_after_attempt(_MAX_ATTEMPTS),
                wait=wait_random_exponential(multiplier=0.2, max=10),
                reraise=True,
            ):
                with attempt:
                    await feedback.report(batch)
        except InvalidRequest as error:
            self._refused(batch, error)
        except _MAY_PASS:
            self._put_by(batch)
        except TiercelError as error:
            self._drop(batch, error)
        except asyncio.CancelledError:
            self._waiting.extendleft(reversed(batch))
            raise

    def _refused(self, batch: list[Event], error: InvalidRequest) -> None:
        """Drop an event that was refused alone; the others of a batch come again one by one."""
        if len(batch) == 1:
            self._drop(batch, error)
        else:
            self._waiting.extendleft(reversed(batch))
            self._num_suspects = len(batch)

    def _put_by(self, batch: list[Event]) -> None:
        """Keep events for later; without a spool, and where that is full, some are lost."""
        num_lost = len(batch)
        if self._spool is not None:
            num_lost = self._spool.put(batch)
            metrics.num_spooled.set(len(self._spool))
        metrics.num_dropped_outcomes.inc(num_lost)
        if num_lost:
            log.warning("events are dropped", number=num_lost, problem="feedback is away")

    def _drop(self, batch: list[Event], error: TiercelError) -> None:
        metrics.num_dropped_outcomes.inc(len(batch))
        log.warning("events are dropped", number=len(batch), problem=str(error))
        if self._dead_letters is not None:
            self._dead_letters.put(batch, str(error))

    def _next_batch(self) -> list[Event]:
        number = min(len(self._waiting), 1 if self._num_suspects else _MAX_BATCH)
        self._num_suspects = max(0, self._num_suspects - 1)
        return [self._waiting.popleft() for _ in range(number)]
