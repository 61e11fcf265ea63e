"""One answer: a session at a root replica, and at another one when that is lost."""

import math
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import structlog
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from services.router import metrics
from services.router.drafting import Drafting, Progress
from services.router.fleet import Fleet, Replica
from services.router.planning import addressed, part_at, staying
from services.router.root_choice import RootChoice
from services.router.tally import Tally
from services.router.time_left import TimeLeft
from tiercel.clients.verifier import GenerateSession, open_session
from tiercel.errors import DeadlineExceeded, Overloaded, Unavailable
from tiercel.replies import Committed
from tiercel.sessions import Ask, DrafterLost, Opened, SessionEnd, SessionEvent
from tiercel.types import FinishReason, Plan
from tiercel.wire.requests import TokenIds

log = structlog.get_logger(__name__)

_MIN_WAIT_S, _MAX_WAIT_S = 0.05, 1.0


class Answer:
    """Tokens each once and in order, whatever replicas it takes. Call `prepare`, then `events`."""

    def __init__(
        self,
        ask: Ask,
        plan: Plan,
        fleet: Fleet,
        *,
        deadline: float,
        heartbeat_s: float,
        max_outage_s: float,
        first_outage_s: float = math.inf,
    ) -> None:
        """`first_outage_s` bounds outages before the first token, where those are shorter."""
        self.plan = plan
        self.exact = True
        self.num_failovers = 0
        self._ask = ask
        self._fleet = fleet
        self._time = TimeLeft(deadline)
        self._heartbeat_s = heartbeat_s
        self._max_outage_s, self._first_outage_s = max_outage_s, first_outage_s
        self._choice = RootChoice(fleet, plan.tier, wanted_address=plan.address)
        self._tally = Tally()
        self._root: Replica
        self._drafting = Drafting(fleet)
        self._avoided: set[Replica] = set()
        self._outage_began: float | None = None
        self._num_fruitless = 0
        self._latest: GenerateSession | None = None
        self._session_is_open = False
        self._num_opened = 0

    @property
    def prompt(self) -> TokenIds:
        """As the root has it; nothing as long as none does."""
        return self._choice.prompt

    def left(self, reason: FinishReason) -> SessionEnd:
        """Return the end of an answer that nobody waits for any longer, as far as it is known."""
        told = self._latest.end if self._latest is not None else None
        if told is not None:
            return replace(self._corrected(told), reason=reason)
        return self._tally.ended(reason, len(self._choice.prompt.token_ids))

    @property
    def progress(self) -> Progress | None:
        """How far it is and what was read; None unless a root works on it now."""
        if not self._session_is_open or self._choice.first is None:
            return None
        num_tokens = len(self._tally.token_ids)
        num_left = self._ask.stop.max_new_tokens - num_tokens
        return Progress(num_left, len(self._choice.prompt.token_ids) + num_tokens)

    def reaches(self, plan: Plan) -> Plan | None:
        """Return what `plan` is here, with addresses; None if it needs what this answer avoids."""
        plan = staying(plan, self.plan, self._fleet)
        filled = addressed(plan, self._root, self._fleet, avoiding=self._avoided)
        found = {self._fleet.find(part.tier, part.address) for part in filled.walk()}
        return None if found & self._avoided else filled

    def replan(self, plan: Plan) -> None:
        """Follow a plan with addresses and the same root and rule, from the next block on."""
        assert self._latest is not None and self._session_is_open, "no root works on the answer"
        self.plan = replace(plan, version=self.plan.version + 1)
        self._drafting.hold(self.plan)
        self._latest.replan(self.plan)

    async def prepare(self) -> None:
        """Pick a root replica and fill in the plan's addresses.

        Raises Unavailable if none takes work for too long, Overloaded if all are full,
        DeadlineExceeded.
        """
        # Before anything was answered, a full tier is the caller's to know at once.
        begun = self._choice.first is not None
        may_pass = (Unavailable, Overloaded) if begun else (Unavailable,)
        patience = AsyncRetrying(
            retry=retry_if_exception_type(may_pass),
            stop=stop_after_delay(min(self._time.left_s, self._most_outage_s)),
            wait=wait_random_exponential(multiplier=_MIN_WAIT_S, max=_MAX_WAIT_S),
            sleep=self._time.sleep,
            reraise=True,
        )
        try:
            self._root = await patience(self._choice.pick)
        except may_pass:
            self._time.check()
            raise
        self.plan = addressed(self.plan, self._root, self._fleet, avoiding=self._avoided)

    async def events(self) -> AsyncGenerator[Committed | SessionEnd, None]:
        """Yield the tokens, then the end.

        Raises what the root refuses the request for, Unavailable when no replica can go on, and
        DeadlineExceeded if time was up before any replica had the prompt.
        """
        try:
            async with aclosing(self._sessions()) as events:
                async for event in events:
                    yield event
        except DeadlineExceeded:
            if self._choice.first is None:
                raise
            yield self.left(FinishReason.DEADLINE)

    async def _sessions(self) -> AsyncGenerator[Committed | SessionEnd, None]:
        while True:
            try:
                async with aclosing(self._session()) as events:
                    async for event in events:
                        yield event
                return
            except Unavailable as error:
                self._lost(error)
            except Overloaded as error:
                self._is_full(error)
            await self._pause()
            await self.prepare()

    async def _session(self) -> AsyncGenerator[Committed | SessionEnd, None]:
        first = self._choice.first
        opening = open_session(
            self._root.channel,
            self._ask if first is None else replace(self._ask, prompt=first.prompt),
            self.plan,
            committed=self._tally.token_ids,
            timeout_s=self._time.for_root_s(),
            heartbeat_s=self._heartbeat_s,
        )
        with self._root.answering():
            try:
                self._drafting.hold(self.plan)
                async with opening as session, aclosing(session.events()) as events:
                    self._latest, self._session_is_open = session, True
                    async for event in events:
                        reply = self._take(event)
                        if reply is not None:
                            yield reply
            finally:
                self._session_is_open = False
                self._drafting.release()

    def _take(self, event: SessionEvent) -> Committed | SessionEnd | None:
        if isinstance(event, Committed):
            self._tally.append(event)
            self._outage_began, self._num_fruitless = None, 0
            return event
        if isinstance(event, SessionEnd):
            return self._corrected(event)
        if isinstance(event, Opened):
            self._num_opened += 1
            self.exact = self._choice.went_on(event, self._root) and self.exact
        else:
            self._replan_without(event)
        return None

    def _corrected(self, end: SessionEnd) -> SessionEnd:
        return self._tally.corrected(end) if self._num_opened > 1 else end

    def _replan_without(self, lost: DrafterLost) -> None:
        """Move on from a lost drafter to another replica of its tier, if there is one."""
        log.warning("a drafter was lost", path=lost.path, reason=lost.reason)
        part = part_at(self.plan, lost.path)
        if part is None or part is self.plan:
            return
        metrics.num_drafters_lost.labels(part.tier).inc()
        replica = self._fleet.find(part.tier, part.address)
        if replica is not None:
            # One that answers may be of use to others: this answer alone does without it.
            self._avoided.add(replica)
            if lost.unreachable:
                replica.failed(lost.reason)
        plan = addressed(self.plan, self._root, self._fleet, avoiding=self._avoided)
        if plan != self.plan:
            self.replan(plan)

    def _lost(self, error: Unavailable) -> None:
        log.warning("a root replica was lost", address=self._root.address, problem=str(error))
        self._root.failed(str(error))
        if self._choice.first is not None:
            self.num_failovers += 1
            metrics.num_failovers.labels(self._root.tier).inc()
        self._give_up_after_outage(error)

    def _is_full(self, error: Overloaded) -> None:
        self._choice.is_full(self._root)
        self._give_up_after_outage(error)

    def _give_up_after_outage(self, error: Exception) -> None:
        self._time.check()
        now = time.monotonic()
        if self._outage_began is None:
            self._outage_began = now
        if now - self._outage_began > self._most_outage_s:
            raise error

    @property
    def _most_outage_s(self) -> float:
        has_begun = bool(self._tally.token_ids)
        return self._max_outage_s if has_begun else min(self._max_outage_s, self._first_outage_s)

    async def _pause(self) -> None:
        """Let replicas that fail again and again cost little."""
        if self._num_fruitless:
            wait_s = min(_MIN_WAIT_S * 2.0**self._num_fruitless, _MAX_WAIT_S)
            await self._time.sleep(wait_s * random.uniform(0.5, 1.0))
        self._num_fruitless += 1
