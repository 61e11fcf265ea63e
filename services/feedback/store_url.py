"""Where the store is, by the form of its URL: one server, a master behind Sentinels, a Cluster.

No message here shows the URL: it may hold a password.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import SplitResult, urlsplit

import redis.asyncio as redis
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from tiercel.errors import InvalidRequest

Client = redis.Redis | redis.RedisCluster

MAX_CONNECTIONS = 16
HEALTH_CHECK_S = 5.0
_SENTINEL_PORT, _CLUSTER_PORT = 26379, 6379
_SHARE_OF_A_SENTINEL = 0.25  # of the time: one that hangs must leave some for the next
_FORMS = (
    "must be redis://, rediss:// or unix://, or redis+sentinel://HOST:PORT,HOST:PORT/NAME/DB,"
    " redis+cluster://HOST:PORT,HOST:PORT or either with rediss+; its parts well-formed"
)


def connect(url: str, timeout_s: float) -> Client:
    """Return a client that connects on first use and tries nothing twice.

    Raises InvalidRequest, without the URL, if that is malformed.
    """
    try:
        parts = urlsplit(url)
        scheme, plus, form = parts.scheme.partition("+")
        if not plus:
            return _one_server(url, timeout_s)
        return _SEVERAL[form](parts, _options(scheme, parts, timeout_s))
    except (KeyError, ValueError, TypeError, RedisError, RedisClusterException):
        raise InvalidRequest("redis_url", "(not shown)", _FORMS) from None


@asynccontextmanager
async def listening(client: Client, channel: str) -> AsyncIterator[PubSub]:
    """Subscribe to a channel until the block ends; raises what the client raises."""
    async with AsyncExitStack() as stack:
        if isinstance(client, redis.RedisCluster):
            client = await stack.enter_async_context(await _owner(client, channel))
        subscription = await stack.enter_async_context(client.pubsub())
        await subscription.subscribe(channel)
        yield subscription


async def close(client: Client) -> None:
    """Disconnect, from Sentinels too."""
    await client.aclose()
    if isinstance(client, redis.Redis) and isinstance(
        client.connection_pool, SentinelConnectionPool
    ):
        for sentinel in client.connection_pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def _defaults(timeout_s: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s / 2,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": HEALTH_CHECK_S,
        "decode_responses": True,
        "protocol": 2,
    }


def _one_server(url: str, timeout_s: float) -> redis.Redis:
    pool = redis.BlockingConnectionPool.from_url(
        url, max_connections=MAX_CONNECTIONS, timeout=timeout_s, **_defaults(timeout_s)
    )
    return redis.Redis.from_pool(_sound(pool))


def _options(scheme: str, parts: SplitResult, timeout_s: float) -> dict[str, Any]:
    """Return what connections to several hosts have in common."""
    user, _, _ = parts.netloc.rpartition("@")
    options = {**_defaults(timeout_s), **parse_url(f"{scheme}://{user}@?{parts.query}")}
    return options | {"ssl": options.pop("connection_class", None) is SSLConnection}


def _sentinels(parts: SplitResult, options: dict[str, Any]) -> redis.Redis:
    name, _, database = parts.path.removeprefix("/").partition("/")
    if not name:
        raise ValueError("no name of a master")
    own = {key: options.pop(f"sentinel_{key}", None) for key in ("username", "password")}
    timeout_s = _SHARE_OF_A_SENTINEL * options["socket_timeout"]
    own |= {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    shared = ("retry", "decode_responses", "protocol")
    own |= {key: options[key] for key in options if key in shared or key.startswith("ssl")}
    options["db"] = int(database or options.get("db", 0))
    sentinel = Sentinel(_hosts(parts, _SENTINEL_PORT), sentinel_kwargs=own)  # type: ignore[no-untyped-call]
    pool = SentinelConnectionPool(name, sentinel, **options)  # type: ignore[no-untyped-call]
    return redis.Redis.from_pool(_sound(pool))


def _cluster(parts: SplitResult, options: dict[str, Any]) -> redis.RedisCluster:
    if parts.path not in ("", "/", "/0"):
        raise ValueError("a Cluster has one database")
    nodes = [ClusterNode(host, port) for host, port in _hosts(parts, _CLUSTER_PORT)]
    return redis.RedisCluster(
        startup_nodes=nodes,
        # Those in the URL stay the ones to ask: addresses they told of may be gone after a restart.
        dynamic_startup_nodes=False,
        require_full_coverage=False,  # our keys are on one shard
        **options,
    )


_SEVERAL: dict[str, Callable[[SplitResult, dict[str, Any]], Client]] = {
    "sentinel": _sentinels,
    "cluster": _cluster,
}


def _sound(pool: redis.ConnectionPool) -> redis.ConnectionPool:
    """Return the pool; raises TypeError for options that its connections do not know."""
    pool.connection_class(**pool.connection_kwargs)
    return pool


def _hosts(parts: SplitResult, default_port: int) -> list[tuple[str, int]]:
    _, _, hosts = parts.netloc.rpartition("@")
    found = [urlsplit(f"//{host}") for host in hosts.split(",")]
    if not all(one.hostname for one in found):
        raise ValueError("no host")
    return [(one.hostname or "", one.port or default_port) for one in found]


async def _owner(cluster: redis.RedisCluster, key: str) -> redis.Redis:
    """Return a client of the node that holds a key; what it publishes goes to all of them."""
    await cluster.initialize()
    node = cluster.get_node_from_key(key)
    if node is None:
        raise RedisClusterException("nobody holds the key")
    pool = redis.ConnectionPool(connection_class=node.connection_class, **node.connection_kwargs)
    return redis.Redis.from_pool(pool)
