"""The way to Redis or Valkey: keys under one hash tag, Lua steps, failures as one error.

Nothing here tries twice: a caller gets its answer, or Unavailable, within the time given, and may
try again.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any, TypeVar

import redis.asyncio as redis
import structlog
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError

from services.feedback import metrics, store_url
from tiercel.errors import InvalidRequest, NotFound, Unavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")

SCHEMA = 2
NUM_PLACES = 8  # of versions that are kept whole
_FOLDER = files("services.feedback") / "lua"

# What a step is run with: its keys, its arguments.
Call = tuple[Sequence[str], Sequence[str | int | float]]


@dataclass(frozen=True)
class Step:
    """A Lua script that runs as one."""

    text: str

    @cached_property
    def sha(self) -> str:
        """Return the name under which a server keeps it."""
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class Connection:
    """Steps and keys behind one URL; any number of replicas may share it."""

    def __init__(self, url: str, *, namespace: str, timeout_s: float) -> None:
        """Connect on first use. Raises InvalidRequest, without the URL, if that is malformed."""
        self._timeout_s = timeout_s
        self._prefix = f"{{{namespace}}}:feedback:{SCHEMA}:"
        self.client = store_url.connect(url, timeout_s)
        self._free = asyncio.Semaphore(store_url.MAX_CONNECTIONS)
        self._under_way: set[asyncio.Task[Any]] = set()
        self._up: bool | None = None

    @staticmethod
    def step(*names: str) -> Step:
        """Return the Lua step of these parts, what all steps share before it."""
        parts = [(_FOLDER / f"{part}.lua").read_text() for part in ("cells", *names)]
        return Step("".join(parts))

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
        channel = self.key("changes")
        async with self._answering(), store_url.listening(self.client, channel) as subscription:
            while True:
                if await subscription.get_message(timeout=store_url.HEALTH_CHECK_S):
                    yield

    async def run(self, step: Step, *calls: Call) -> list[Any]:
        """Return the reply to each call of a step; all are sent together.

        To be awaited within `finished`. If some fail the others have been done.
        """
        replies = await self._send(step, calls)
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:  # a server that was restarted, or a new master
            again = await self._send(step, [calls[i] for i in unknown], is_new=True)
            for i, reply in zip(unknown, again, strict=True):
                replies[i] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def _send(self, step: Step, calls: Sequence[Call], *, is_new: bool = False) -> list[Any]:
        """Return replies, errors among them; a step that is new to the server goes there whole."""
        async with self.client.pipeline(transaction=False) as pipeline:
            for number, (keys, arguments) in enumerate(calls):
                whole = is_new and number == 0
                how = ("EVAL", step.text) if whole else ("EVALSHA", step.sha)
                # Not `evalsha`, which a Cluster's pipeline refuses: it cannot load what is missing.
                pipeline.execute_command(*how, len(keys), *keys, *arguments)
            return list(await pipeline.execute(raise_on_error=False))

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
        await store_url.close(self.client)

    async def _timed(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            async with self._answering(), asyncio.timeout(self._timeout_s), self._free:
                return await work
        finally:
            work.close()  # not even begun, where no connection was free in time

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also where the caller has gone

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        """Turn every way in which the store fails into Unavailable; its texts may hold secrets."""
        try:
            yield
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            if isinstance(error, ResponseError):
                _raise_own(str(error))
            self._report(up=False, reason=type(error).__name__)
            await self._look_again()
            raise Unavailable("the store of what is learned does not answer") from None
        else:
            self._report(up=True)

    async def _look_again(self) -> None:
        """Have a Cluster's client ask anew who holds our keys; it sees no node that hangs."""
        if isinstance(self.client, redis.RedisCluster):
            await self.client.aclose()

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
