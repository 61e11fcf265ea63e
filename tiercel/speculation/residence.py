"""Whether a tier's model is in memory: given back when it is told to, loaded when it is needed."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import psutil
import structlog

from tiercel.descriptions import Residency
from tiercel.engines.language_model import LanguageModel
from tiercel.errors import Unsupported
from tiercel.speculation.runner import ModelRunner
from tiercel.speculation.slots import Slots

log = structlog.get_logger(__name__)

Loader = Callable[[], Awaitable[LanguageModel]]
_LOOK_S = 0.05


class Residence:
    """Loads and unloads one model. No session is ever dropped: a model leaves with the last one."""

    def __init__(self, tier: str, runner: ModelRunner, slots: Slots, loader: Loader | None) -> None:
        """Without a loader the model stays for ever."""
        self._tier, self._runner, self._slots, self._loader = tier, runner, slots, loader
        self._changing = asyncio.Lock()
        self._is_wanted = True
        self._loading = False
        self.load_s, self.memory_bytes = 0.0, 0

    @property
    def state(self) -> Residency:
        """The state now."""
        if self._loader is None:
            return Residency.UNSPECIFIED
        if self._loading:
            return Residency.LOADING
        if not self._runner.is_loaded:
            return Residency.AWAY
        return Residency.RESIDENT if self._is_wanted else Residency.LEAVING

    async def needed(self) -> None:
        """Have the model in memory for a session; it stays, although it was told to leave.

        Raises ModelUnavailable if it cannot be loaded.
        """
        self._is_wanted = True
        if not self._runner.is_loaded:
            async with self._changing:
                await self._load()

    async def set(self, *, resident: bool) -> Residency:
        """Load the model or give its memory back; returns when that is done or was overtaken.

        Raises Unsupported where it cannot be loaded again, ModelUnavailable.
        """
        if self._loader is None:
            raise Unsupported(f"{self._tier} cannot load its model again, and keeps it")
        if resident:
            await self.needed()
            return self.state
        self._is_wanted = False
        try:
            await self._leave()
        finally:
            # If who told it to gave up, nobody waits for that any more.
            self._is_wanted = self._runner.is_loaded
        return self.state

    async def _leave(self) -> None:
        async with self._changing:
            # A session that comes meanwhile wants it again.
            while not self._is_wanted and self._slots.num_taken:
                await asyncio.sleep(_LOOK_S)
            if not self._is_wanted and self._runner.is_loaded:
                await self._unload()

    async def _load(self) -> None:
        if self._runner.is_loaded or self._loader is None:
            return
        began, before = time.monotonic(), process_bytes()
        self._loading = True
        try:
            self._runner.load(await self._loader())
        finally:
            self._loading = False
        self.load_s = time.monotonic() - began
        self.memory_bytes = max(0, process_bytes() - before)
        log.info("the model is in memory", tier=self._tier, seconds=round(self.load_s, 2))

    async def _unload(self) -> None:
        before = process_bytes()
        await self._runner.unload()
        self.memory_bytes = max(self.memory_bytes, before - process_bytes())
        log.info("the model's memory is given back", tier=self._tier)


def process_bytes() -> int:
    """Return the bytes of memory that this process has resident."""
    return int(psutil.Process().memory_info().rss)
