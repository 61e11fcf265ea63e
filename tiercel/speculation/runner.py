"""Runs a model's passes in a thread of its own, so that the event loop never blocks."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tiercel.engines.language_model import Cache, LanguageModel
from tiercel.types import ModelDescription

T = TypeVar("T")


class ModelRunner:
    """One model, one thread, first come first served; sessions take turns pass by pass."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self.num_waiting = 0

    @property
    def description(self) -> ModelDescription:
        """What the model is."""
        return self._model.description

    def open(self) -> Cache:
        """Return a new, empty cache."""
        return self._model.open()

    async def run(self, work: Callable[[LanguageModel], T]) -> T:
        """Return what `work` returns for the model; work that is cancelled in time never starts."""
        self.num_waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, work, self._model)
        finally:
            self.num_waiting -= 1

    def release(self, cache: Cache) -> None:
        """Close a cache once no pass uses it any more."""
        self._executor.submit(cache.close)

    def close(self) -> None:
        """Close the model after the work that waits."""
        self._executor.submit(self._model.close)
        self._executor.shutdown(wait=True)
