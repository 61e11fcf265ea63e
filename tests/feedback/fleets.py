"""Real servers behind Sentinels and in Clusters, on ports of this machine."""

import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from tiercel.cli.supervisor.ports import free_ports

PATIENCE_S = 60.0
HOST = "127.0.0.1"
MASTER = "mymaster"
# Replicas get their first copy without waiting for further ones.
AT_ONCE = ("--repl-diskless-sync-delay", "0")
# A Sentinel that was starved is to do its work all the same.
PATIENT = ("min-link-reconnect-period", 50, "tilt-trigger", 60_000)


@dataclass(frozen=True)
class Node:
    """One server process that listens at a port."""

    process: subprocess.Popen[bytes]
    port: int
    bus: int

    def ask(self, *words: str | int) -> Any:
        """Run one command on a connection of its own."""
        with Redis(HOST, self.port, decode_responses=True, protocol=2, socket_timeout=30) as client:
            client.response_callbacks.clear()  # answers as they come
            return client.execute_command(*words)

    def says(self, *words: str | int) -> str:
        """Return what it answers as text, nothing where it does not."""
        with suppress(RedisError, OSError):
            return str(self.ask(*words))
        return ""

    def is_up(self) -> bool:
        """Whether it answers, and not another server that took its port."""
        return f"process_id:{self.process.pid}\r" in self.says("INFO", "server")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def caught_up(master: Node, replica: Node) -> None:
    """Wait until the replica has all that was written so far."""
    [offset] = re.findall(r"master_repl_offset:(\d+)", master.says("INFO", "replication"))

    def has_it() -> bool:
        found = re.findall(r"slave_repl_offset:(\d+)", replica.says("INFO", "replication"))
        return bool(found) and int(found[0]) >= int(offset)

    until(has_it, "the replica lags")


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def started(binary: str, folder: Path, stack: ExitStack, *options: str) -> Node:
    """Start a server on a free port; on another one if somebody was quicker there.

    Options may name `{port}`, a second one `{bus}`, and the server's own `{folder}`.
    """
    for _ in range(5):
        port, bus = free_ports(2)
        own = Path(tempfile.mkdtemp(dir=folder))
        given = [option.format(port=port, bus=bus, folder=own) for option in options]
        command = [binary, *given, "--port", str(port), "--bind", HOST, "--dir", str(own)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.kill)
        node = Node(process, port, bus)
        until(lambda node=node: node.is_up() or node.process.poll() is not None, "no answer")
        if process.poll() is None:
            return node
    raise AssertionError("the server does not start")


@dataclass(frozen=True)
class Watched:
    """A master and its replica, and the Sentinel that watches them."""

    master: Node
    replica: Node
    sentinel: Node

    @property
    def url(self) -> str:
        """The first of its Sentinels is away."""
        [gone] = free_ports(1)
        return f"redis+sentinel://{HOST}:{gone},{HOST}:{self.sentinel.port}/{MASTER}/0"

    def replicated(self) -> None:
        """Wait until a failover would lose nothing."""
        caught_up(self.master, self.replica)

    def fail_over(self) -> None:
        """Kill the master, and wait until the Sentinel has promoted the replica."""
        self.master.kill()
        self._down_after(500)
        asked = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        until(lambda: str(self.replica.port) in self.sentinel.says(*asked), "nobody is promoted")
        self._down_after(30_000)  # else on a busy machine the new one were down as well

    def _down_after(self, milliseconds: int) -> None:
        self.sentinel.ask("SENTINEL", "SET", MASTER, "down-after-milliseconds", milliseconds)


def watched(binary: str, folder: Path, stack: ExitStack) -> Watched:
    """Start all three, and wait until the Sentinel could promote the replica."""
    master = started(binary, folder, stack, *AT_ONCE)
    replica = started(binary, folder, stack, *AT_ONCE, "--replicaof", f"{HOST} {master.port}")
    until(lambda: "state=online" in master.says("INFO", "replication"), "no replica")
    file = folder / f"sentinel-{master.port}.conf"
    file.write_text(
        f"sentinel monitor {MASTER} {HOST} {master.port} 1\n"
        f"sentinel failover-timeout {MASTER} 2000\n"
    )
    sentinel = started(binary, folder, stack, str(file), "--sentinel")
    sentinel.ask("SENTINEL", "DEBUG", *PATIENT)
    until(
        lambda: "'master-link-status', 'ok'" in sentinel.says("SENTINEL", "REPLICAS", MASTER),
        "the replica is not known",
    )
    return Watched(master, replica, sentinel)


@dataclass(frozen=True)
class Cluster:
    """Two masters, and a replica of the one that holds our keys."""

    owner: Node
    other: Node
    replica: Node

    @property
    def url(self) -> str:
        """The first of its nodes is away, the second holds none of our keys."""
        [gone] = free_ports(1)
        return f"redis+cluster://{HOST}:{gone},{HOST}:{self.other.port}"

    def replicated(self) -> None:
        """Wait until a failover would lose nothing."""
        caught_up(self.owner, self.replica)

    def fail_over(self) -> None:
        """Kill the owner of our keys, and put its replica in its place."""
        self.owner.kill()
        self.replica.ask("CLUSTER", "FAILOVER", "TAKEOVER")
        until(lambda: self._owner_of_others() == self.replica.port, "nobody takes over")

    def _owner_of_others(self) -> int:
        slots = self.other.ask("CLUSTER", "SLOTS")
        return int(max(slots)[2][1])


def cluster(binary: str, folder: Path, stack: ExitStack) -> Cluster:
    """Start all three, and wait until they serve."""
    options = ("--cluster-enabled", "yes", "--cluster-port", "{bus}", *AT_ONCE)
    nodes = [started(binary, folder, stack, *options) for _ in range(3)]
    owner, other, replica = nodes
    owner.ask("CLUSTER", "ADDSLOTSRANGE", 100, 16383)  # ours is 6918, of the word "test"
    other.ask("CLUSTER", "ADDSLOTSRANGE", 0, 99)
    for epoch, node in enumerate(nodes, 1):
        node.ask("CLUSTER", "SET-CONFIG-EPOCH", epoch)
    for node in (other, replica):
        owner.ask("CLUSTER", "MEET", HOST, node.port, node.bus)
    for node in nodes:
        until(
            lambda node=node: node.says("CLUSTER", "NODES").count(" connected") == 3, "no meeting"
        )
    replica.ask("CLUSTER", "REPLICATE", owner.ask("CLUSTER", "MYID"))
    until(lambda: "master_link_status:up" in replica.says("INFO", "replication"), "no replica")
    for node in nodes:
        until(lambda node=node: "cluster_state:ok" in node.says("CLUSTER", "INFO"), "no service")
    return Cluster(owner, other, replica)
