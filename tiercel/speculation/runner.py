"""Runs a model's passes in a thread of its own, so that the event loop never blocks.

Batches are formed anew for every pass: sessions join and leave between passes.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from tiercel.descriptions import Speed
from tiercel.engines.language_model import LanguageModel
from tiercel.errors import ModelUnavailable
from tiercel.speculation.passes import Outcome, Passes
from tiercel.speculation.row_cost import RowCost
from tiercel.speculation.turn import Batch, Memory, Turn
from tiercel.speculation.waiting import WaitingTurns
from tiercel.types import ModelDescription

T = TypeVar("T")


class ModelRunner:
    """One model and one thread; the turns that wait share a pass if the model can do that.

    Everything but the passes happens on the event loop. While no others wait, turns that follow
    from those of a pass are run without coming back to it in between.
    """

    def __init__(self, model: LanguageModel, *, prefix_cache_tokens: int = 0) -> None:
        """Keep up to so many tokens of ended sessions for new ones that begin alike."""
        self.description: ModelDescription = model.description
        self._prefix_cache_tokens = prefix_cache_tokens
        self._passes = Passes(model, prefix_cache_tokens)
        self.is_loaded = True
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._waiting = WaitingTurns(self.description.max_batch_rows)
        self._results: dict[Turn[Any], asyncio.Future[Any]] = {}
        # Of turns that followed, and are over before their session asked.
        self._early: WeakKeyDictionary[Turn[Any], Outcome] = WeakKeyDictionary()
        # One that runs, and for a model without batches the one that is next.
        self._most_passes = 1 if self.description.max_batch_rows else 2
        self._num_passes = 0

    @property
    def num_waiting(self) -> int:
        """How many turns are not over."""
        return len(self._results)

    @property
    def num_waiting_passes(self) -> int:
        """For how many passes a turn that comes now waits; those that it shares do not count."""
        most = self.description.max_batch_rows
        return self._waiting.num_tokens // most if most else self.num_waiting

    @property
    def row_cost(self) -> RowCost:
        """What a further token of a pass costs."""
        return self._passes.row_cost

    @property
    def speed(self) -> Speed:
        """How fast the model is of late."""
        return replace(self._passes.speed.speed, wait_s=self._waiting.wait_s)

    async def run(self, turn: Turn[T]) -> T | None:
        """Return what the turn judged, or None if it became stale.

        A turn that is cancelled in time never starts. Raises what the model or `judge` raises.
        """
        self._waiting.add(turn)
        self._start_passes()
        return await self.result_of(turn)

    async def result_of(self, turn: Turn[T]) -> T | None:
        """Return what a turn judged that followed from another; as `run` otherwise."""
        result = self._results[turn] = asyncio.get_running_loop().create_future()
        if (early := self._early.pop(turn, None)) is not None:
            self._settle(turn, early)
        try:
            return await result  # type: ignore[no-any-return]  # of this turn's type
        finally:
            del self._results[turn]
            self._waiting.discard(turn)

    def release(self, memory: Memory, tokens: Sequence[int]) -> None:
        """Take a session's cache once no pass uses it any more; it begins with `tokens`."""
        self._executor.submit(self._passes.release, memory, tokens)

    async def unload(self) -> None:
        """Close the model, with what is kept for sessions; there must be none."""
        self.is_loaded = False
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._passes.close)

    def load(self, model: LanguageModel) -> None:
        """Go on with the same model after `unload`; raises ModelUnavailable if it is another."""
        if model.description.numerics_id != self.description.numerics_id:
            model.close()
            raise ModelUnavailable("the model that was loaded again is not the one from before")
        passes = Passes(model, self._prefix_cache_tokens)
        passes.row_cost, passes.speed = self._passes.row_cost, self._passes.speed
        self._passes, self.is_loaded = passes, True

    def close(self) -> None:
        """Close the model after the passes that run."""
        if self.is_loaded:
            self._executor.submit(self._passes.close)
        self._executor.shutdown(wait=True)

    def _start_passes(self) -> None:
        while self._num_passes < self._most_passes and (batch := self._waiting.take()):
            self._num_passes += 1
            loop = asyncio.get_running_loop()
            done = loop.run_in_executor(self._executor, self._drive, batch, loop)
            done.add_done_callback(self._over)

    def _drive(self, batch: Batch, loop: asyncio.AbstractEventLoop) -> tuple[Batch, list[Outcome]]:
        """Run passes, in the model's thread, while all turns have others that follow.

        Returns the last batch and its outcomes; the others are settled already.
        """
        while True:
            outcomes = self._outcomes(batch)
            following = [turn.next for turn in batch.turns if turn.next is not None]
            if len(following) < len(batch.turns) or self._num_passes > 1 or len(self._waiting):
                return batch, outcomes
            loop.call_soon_threadsafe(self._settle_all, batch, outcomes)
            batch = Batch(tuple(following), sum(turn.num_left for turn in following))

    def _outcomes(self, batch: Batch) -> list[Outcome]:
        try:
            outcomes = self._passes.run(batch)
            for turn, outcome in zip(batch.turns, outcomes, strict=True):
                if outcome.result is not None:
                    turn.next = turn.follow(outcome.result)
        except Exception as error:
            return [Outcome(error=error)] * len(batch.turns)
        return outcomes

    def _over(self, done: "asyncio.Future[tuple[Batch, list[Outcome]]]") -> None:
        self._num_passes -= 1
        batch, outcomes = done.result()
        self._settle_all(batch, outcomes)
        for turn in batch.turns:
            if turn.next is not None:
                self._waiting.add(turn.next)
        # After the sessions that got their results: most come back with their next turn at once.
        asyncio.get_running_loop().call_soon(self._start_passes)

    def _settle_all(self, batch: Batch, outcomes: list[Outcome]) -> None:
        for turn, outcome in zip(batch.turns, outcomes, strict=True):
            self._settle(turn, outcome)

    def _settle(self, turn: Turn[Any], outcome: Outcome) -> None:
        result = self._results.get(turn)
        if result is None:
            self._early[turn] = outcome
            self._waiting.discard(turn)
        elif result.done():
            return
        elif not outcome.is_over:
            self._waiting.add(turn)
        elif outcome.error is not None:
            result.set_exception(outcome.error)
        else:
            result.set_result(outcome.result)
