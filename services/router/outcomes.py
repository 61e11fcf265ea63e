"""Tells feedback what came of each decision, off the request's path."""

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
from tiercel.clients.feedback import FeedbackClient
from tiercel.errors import DeadlineExceeded, InvalidRequest, Overloaded, TiercelError, Unavailable
from tiercel.learning import Outcome

log = structlog.get_logger(__name__)

_MAX_WAITING = 1024
_MAX_BATCH = 64
_MAX_ATTEMPTS = 6
_PARTING_S = 1.0
_MAY_PASS = (Unavailable, Overloaded, DeadlineExceeded)


class OutcomeReporter:
    """A bounded queue to feedback: when it is full the oldest outcome is dropped and counted."""

    def __init__(self) -> None:
        self._waiting: deque[Outcome] = deque()
        self._arrived = asyncio.Event()
        self._is_reporting = False
        self._num_suspects = 0  # first in the queue, of a batch that was refused

    def put(self, outcome: Outcome) -> None:
        """Report `outcome` when feedback can be told; never waits, never fails.

        Without feedback, that is outside `reporting`, it is forgotten.
        """
        if not self._is_reporting:
            return
        if len(self._waiting) >= _MAX_WAITING:
            self._waiting.popleft()
            metrics.num_dropped_outcomes.inc()
        self._waiting.append(outcome)
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
            metrics.num_dropped_outcomes.inc(len(self._waiting))

    async def _report_all(self, feedback: FeedbackClient) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await self._report_waiting(feedback)

    async def _report_waiting(self, feedback: FeedbackClient) -> None:
        while batch := self._next_batch():
            await self._report(feedback, batch)

    async def _report(self, feedback: FeedbackClient, batch: list[Outcome]) -> None:
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
        except TiercelError as error:
            self._drop(batch, error)
        except asyncio.CancelledError:
            self._waiting.extendleft(reversed(batch))
            raise

    def _refused(self, batch: list[Outcome], error: InvalidRequest) -> None:
        """Drop an outcome that was refused alone; the others of a batch come again one by one."""
        if len(batch) == 1:
            self._drop(batch, error)
        else:
            self._waiting.extendleft(reversed(batch))
            self._num_suspects = len(batch)

    def _drop(self, batch: list[Outcome], error: TiercelError) -> None:
        metrics.num_dropped_outcomes.inc(len(batch))
        log.warning("outcomes are dropped", number=len(batch), problem=str(error))

    def _next_batch(self) -> list[Outcome]:
        number = min(len(self._waiting), 1 if self._num_suspects else _MAX_BATCH)
        self._num_suspects = max(0, self._num_suspects - 1)
        return [self._waiting.popleft() for _ in range(number)]
