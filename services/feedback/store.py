"""What is learned, in Redis or Valkey: one Lua step for each event, so that it counts once.

All keys carry one hash tag. Nothing here tries twice: a caller gets its answer, or Unavailable,
within the time given, and may deliver again.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeVar

import redis.asyncio as redis
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from services.feedback import metrics
from services.feedback.cells import ALL_KINDS, Cell, Snapshot, deltas, faded
from tiercel.errors import InvalidRequest, Unavailable
from tiercel.learning import Outcome, Rating

log = structlog.get_logger(__name__)
T = TypeVar("T")

_SCHEMA = 1
_MAX_CONNECTIONS = 16
_MAX_RATERS = 64
_HINT_WAIT_S = 5.0


@dataclass(frozen=True)
class Memory:
    """How long the store remembers, and how much."""

    half_life_s: float = 3600.0
    dedup_s: float = 6 * 3600.0  # a later second delivery of an event would count again
    ratings_s: float = 7 * 24 * 3600.0
    max_cells: int = 4096  # of single kinds; those of all kinds may be as many again


class Store:
    """Cells, ratings and versions behind one URL; any number of replicas may share it."""

    def __init__(self, url: str, memory: Memory, *, namespace: str, timeout_s: float) -> None:
        """Connect on first use. Raises InvalidRequest, without the URL, if that is malformed."""
        self._memory, self._timeout_s = memory, timeout_s
        self._prefix = f"{{{namespace}}}:feedback:{_SCHEMA}:"
        self._client = redis.Redis.from_pool(_pool(url, timeout_s))
        folder = files("services.feedback") / "lua"
        self._apply, self._read, self._rate = (
            self._client.register_script((folder / f"{name}.lua").read_text())
            for name in ("apply", "read", "rate")
        )
        self._under_way: set[asyncio.Task[Any]] = set()
        self._up: bool | None = None

    async def apply(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """Learn from outcomes, each in one step; return which were new.

        Raises Unavailable if some may not have been applied; delivering all again is safe.
        """
        return await self._finished(self._apply_all(outcomes)) if outcomes else []

    async def rate(self, rating: Rating) -> bool:
        """Keep a rating; return whether it was new. Raises Unavailable."""
        return await self._finished(self._rate_once(rating))

    async def read(self, have: Snapshot | None = None) -> Snapshot | None:
        """Return everything learned, or None if that is what the caller has. Raises Unavailable."""
        return await self._finished(self._read_news(have))

    async def hints(self) -> AsyncGenerator[None, None]:
        """Yield whenever something may have changed; hints get lost. Raises Unavailable."""
        async with self._answering(), self._client.pubsub() as subscription:
            await subscription.subscribe(self._key("changes"))
            while True:
                if await subscription.get_message(timeout=_HINT_WAIT_S):
                    yield

    async def close(self) -> None:
        """Finish what is under way and disconnect."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._client.aclose()

    async def _apply_all(self, outcomes: Sequence[Outcome]) -> list[bool]:
        async with self._answering(), asyncio.timeout(self._timeout_s):
            async with self._client.pipeline(transaction=False) as pipeline:
                for outcome in outcomes:
                    keys = self._keys("state", "cells", f"event:{outcome.event_id}")
                    await self._apply(keys=keys, args=self._arguments(outcome), client=pipeline)
                replies = await pipeline.execute(raise_on_error=False)
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        return [reply > 0 for reply in replies]

    def _arguments(self, outcome: Outcome) -> list[str | int | float]:
        memory = self._memory
        arguments: list[str | int | float] = [
            _ms(memory.dedup_s),
            _ms(memory.half_life_s),
            self._key("changes"),
        ]
        for cell, sums in deltas(outcome):
            limit = memory.max_cells * (2 if cell.kind == ALL_KINDS else 1)
            added = [part for name, delta in sums.items() for part in (name, repr(delta))]
            arguments += [cell.name, limit, len(sums), *added]
        return arguments

    async def _read_news(self, have: Snapshot | None) -> Snapshot | None:
        seen: list[str | int] = [have.epoch, have.version] if have else ["", 0]
        async with self._answering(), asyncio.timeout(self._timeout_s):
            reply = await self._read(
                keys=self._keys("state", "cells"), args=[*seen, uuid.uuid4().hex]
            )
        return self._snapshot(*reply) if len(reply) > 2 else None

    async def _rate_once(self, rating: Rating) -> bool:
        keys = self._keys("state", f"rating:{rating.decision_id}", f"rated:{rating.event_id}")
        lives = [_ms(self._memory.dedup_s), _ms(self._memory.ratings_s)]
        async with self._answering(), asyncio.timeout(self._timeout_s):
            new = await self._rate(
                keys=keys, args=[*lives, _MAX_RATERS, rating.rater, repr(rating.score)]
            )
        return bool(new)

    def _snapshot(self, epoch: str, version: int, at: str, fields: Sequence[str]) -> Snapshot:
        cells = {}
        for name, text in zip(fields[::2], fields[1::2], strict=True):
            sums = faded(text, at_ms=float(at), half_life_s=self._memory.half_life_s)
            if sums is None:
                log.warning("a cell of the store holds garbage; it is left out", cell=name)
            else:
                cells[Cell.named(name)] = sums
        return Snapshot(epoch, version, cells)

    async def _finished(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work that goes on if the caller is cancelled.

        A command cut off half-way would cost its connection, and nobody would know if it counted.
        """
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also where the caller has gone

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        """Turn every way in which the store fails into Unavailable; its texts may hold secrets."""
        try:
            yield
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, ResponseError) and str(error).startswith("UNSOUND"):
                why = "must be finite and not negative"
                raise InvalidRequest("outcome", str(error), why) from None
            self._report(up=False, reason=type(error).__name__)
            raise Unavailable("the store of what is learned does not answer") from None
        else:
            self._report(up=True)

    def _report(self, *, up: bool, reason: str = "") -> None:
        metrics.store_up.set(up)
        if up and self._up is False:
            log.info("the store answers again")
        if not up and self._up is not False:
            log.warning("the store does not answer; the last known policy stands", reason=reason)
        self._up = up

    def _keys(self, *names: str) -> list[str]:
        return [self._key(name) for name in names]

    def _key(self, name: str) -> str:
        return self._prefix + name


def _pool(url: str, timeout_s: float) -> redis.BlockingConnectionPool:
    try:
        return redis.BlockingConnectionPool.from_url(
            url,
            max_connections=_MAX_CONNECTIONS,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s / 2,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=_HINT_WAIT_S,
            decode_responses=True,
            protocol=2,
        )
    except ValueError:
        why = "must be redis://, rediss:// or unix://, host, port and options well-formed"
        raise InvalidRequest("redis_url", "(not shown)", why) from None


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
