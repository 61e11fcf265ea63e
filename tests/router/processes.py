"""Tiers as processes of their own, on a tiny model, that tests may kill and stop."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.addresses import free_address
from tests.tiny_model import tiny_gguf


class TierProcess:
    """One replica; it listens at `address` from the start, and is ready when it says so."""

    def __init__(self, folder: Path, service: str, tier: str, **settings: object) -> None:
        self.address = free_address()
        own = {"address": self.address, "tier": tier, "threads": 1, "log_level": "warning"}
        if settings.get("engine") != "suffix":
            own["model"] = str(tiny_gguf(folder))
        given = {f"TIERCEL_{key.upper()}": str(value) for key, value in (own | settings).items()}
        self._command = [sys.executable, "-m", f"services.{service}"]
        self._environment = os.environ | {"TIERCEL_CACHE": str(folder / "cache")} | given
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, env=self._environment)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def revive(self) -> None:
        """Wake the process if it was stopped, start it again if it was killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        else:
            self.start()
