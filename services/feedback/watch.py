"""The learned policy as it changes: read from the store at intervals and on hints, told to many."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress

from services.feedback import metrics
from services.feedback.cells import Cell, Snapshot
from services.feedback.estimates import Estimator
from services.feedback.guards import Guard
from services.feedback.store import Store
from services.feedback.strictness import Goal
from tiercel.errors import Unavailable
from tiercel.learning import LearnedPolicy

_CANCEL_AGAIN_S = 0.1


class PolicyFeed:
    """Keeps the policy at hand; while the store is away, the last known one stands."""

    def __init__(
        self,
        store: Store,
        estimator: Estimator,
        guard: Guard,
        *,
        poll_s: float,
        push_interval_s: float,
    ) -> None:
        """Look for changes every `poll_s`, on a hint sooner, never within `push_interval_s`."""
        self._store, self._estimator, self._guard = store, estimator, guard
        self.goals: Mapping[Cell, Goal] = {}  # of each strictness that is led, as last known
        self._poll_s, self._push_interval_s = poll_s, push_interval_s
        self._snapshot: Snapshot | None = None
        self._policy: LearnedPolicy | None = None
        self._changed, self._hinted = asyncio.Event(), asyncio.Event()
        self._closed = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator["PolicyFeed"]:
        """Follow the store until the block ends; it may be away."""
        await self._refresh()
        async with asyncio.TaskGroup() as tasks:
            following = [tasks.create_task(self._follow()), tasks.create_task(self._listen())]
            try:
                yield self
            finally:
                await _cancelled(following)

    async def current(self) -> LearnedPolicy:
        """Return the policy of now; while the store is away the last known. Raises Unavailable."""
        await self._refresh()
        if self._policy is None:
            raise Unavailable("the store of what is learned has not answered yet")
        return self._policy

    async def changes(self, have: LearnedPolicy) -> AsyncGenerator[LearnedPolicy, None]:
        """Yield the policy if it is not `have`, and again on each change, until closed.

        A slow reader gets the newest, not each. Nothing is yielded until the store was read once:
        not knowing yet is no reason to give up what was learned before.
        """
        seen = (have.epoch, have.version)
        with metrics.num_watchers.track_inprogress():
            while not self._closed:
                changed, policy = self._changed, self._policy
                if policy is not None and (policy.epoch, policy.version) != seen:
                    seen = (policy.epoch, policy.version)
                    yield policy
                else:
                    await changed.wait()

    def close(self) -> None:
        """End all streams of changes."""
        self._closed = True
        self._changed.set()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._push_interval_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._hinted.wait()
            self._hinted.clear()
            await self._refresh()

    async def _listen(self) -> None:
        while True:
            with suppress(Unavailable):
                async with aclosing(self._store.hints()) as hints:
                    async for _ in hints:
                        self._hinted.set()
            await asyncio.sleep(self._poll_s)

    async def _refresh(self) -> None:
        try:
            snapshot = await self._store.read(self._snapshot)
        except Unavailable:
            return
        if snapshot is None or self._is_past(snapshot):
            return
        self._snapshot, self._policy = snapshot, self._estimator.policy(snapshot)
        self.goals = self._estimator.strictness.goals(snapshot)
        metrics.policy_version.set(snapshot.version)
        metrics.num_pairs.set(len(self._policy.pairs))
        if not self._closed:
            self._changed.set()
            self._changed = asyncio.Event()
        await self._guard.check(snapshot)

    def _is_past(self, snapshot: Snapshot) -> bool:
        """Return whether another read, which was answered sooner, told of a later version."""
        known = self._snapshot
        same_epoch = known is not None and known.epoch == snapshot.epoch
        return known is not None and same_epoch and known.version > snapshot.version


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough: before Python 3.12 `asyncio.wait_for`, which redis-py sends with, drops a
    cancellation that comes together with its result.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
