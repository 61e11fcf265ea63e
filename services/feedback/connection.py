"""The way to Redis or Valkey: keys under one hash tag, Lua steps, failures as one error.

Nothing here tries twice: a caller gets its answer, or Unavailable, within the time given, and may
try again.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, TypeVar

import redis.asyncio as redis
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError, ResponseError

from services.feedback import metrics
from tiercel.errors import InvalidRequest, NotFound, Unavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")

SCHEMA = 2
NUM_PLACES = 8  # of versions that are kept whole
_MAX_CONNECTIONS = 16
_HINT_WAIT_S = 5.0
_FOLDER = files("services.feedback") / "lua"


class Connection:
    """Scripts and keys behind one URL; any number of replicas may share it."""

    def __init__(self, url: str, *, namespace: str, timeout_s: float) -> None:
        """Connect on first use. Raises InvalidRequest, without the URL, if that is malformed."""
        self._timeout_s = timeout_s
        self._prefix = f"{{{namespace}}}:feedback:{SCHEMA}:"
        self.client = redis.Redis.from_pool(_pool(url, timeout_s))
        self._under_way: set[asyncio.Task[Any]] = set()
        self._up: bool | None = None

    def script(self, *names: str) -> AsyncScript:
        """Return the Lua step of these parts, what all steps share before it."""
        parts = [(_FOLDER / f"{part}.lua").read_text() for part in ("cells", *names)]
        return self.client.register_script("".join(parts))

    def key(self, name: str) -> str:
        """Return the key of that name."""
        return self._prefix + name

    def keys(self, *names: str) -> list[str]:
        """Return the keys of these names."""
        return [self.key(name) for name in names]

    def places(self) -> list[str]:
        """Return the keys under which whole versions are kept."""
        return self.keys(*(f"kept:{place}" for place in range(1, NUM_PLACES + 1)))

    async def hints(self) -> AsyncGenerator[None, None]:
        """Yield whenever something may have changed; hints get lost. Raises Unavailable."""
        async with self._answering(), self.client.pubsub() as subscription:
            await subscription.subscribe(self.key("changes"))
            while True:
                if await subscription.get_message(timeout=_HINT_WAIT_S):
                    yield

    async def finished(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work that goes on if the caller is cancelled; raises Unavailable if it fails.

        A command cut off half-way would cost its connection, and nobody would know if it counted.
        """
        task = asyncio.create_task(self._timed(work))
        self._under_way.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Finish what is under way and disconnect."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self.client.aclose()

    async def _timed(self, work: Coroutine[Any, Any, T]) -> T:
        async with self._answering(), asyncio.timeout(self._timeout_s):
            return await work

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
            if isinstance(error, ResponseError):
                _raise_own(str(error))
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


def _raise_own(message: str) -> None:
    """Raise for what our own steps refuse."""
    word, _, rest = message.partition(" ")
    if word == "UNSOUND":
        raise InvalidRequest("event", rest, "must be finite and not negative") from None
    if word == "UNKNOWN":
        raise NotFound(f"no {rest} is kept; the history names those that are") from None


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
