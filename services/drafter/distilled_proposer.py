"""Follows one sequence with a distilled drafter; the cache itself is in the model's thread."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from services.drafter.distilled_cache import DistilledCache, Drafted, Manner, Work
from tiercel.decoding import Randomness, prefix_hash
from tiercel.engines.distilled import DistilledModel
from tiercel.errors import PlanRefused, Unsupported
from tiercel.speculation.proposer import Proposal
from tiercel.types import PairStats, Plan, TierStats
from tiercel.wire.draft import DraftOpening

States = NDArray[np.float32]  # shape [positions, hidden_size]

# Rows that are fed anew when the cache is full.
_KEPT_ROWS = 64
# Messages without the states that were asked for, after which none are expected any more.
_MOST_MISSING = 3


class TokensProposer:
    """Proposes from the tokens of the answer alone.

    A row stands for a token of the answer; the token that begins the answer is the first one.
    """

    def __init__(self, model: DistilledModel, opening: DraftOpening, executor: Executor) -> None:
        self._model, self._executor = model, executor
        opened_at = prefix_hash.of(opening.prefix.token_ids)
        manner = Manner(
            opening.params,
            opening.stop_token_ids,
            opening.evidence,
            Randomness.of(opening.params.seed, opening.plan.tier, opening.plan.address, opened_at),
        )
        self._cache = DistilledCache(model, manner)
        self._tokens = list(opening.prefix.token_ids)
        self._num_prompt_tokens = opening.num_prompt_tokens
        self._committed_length = len(self._tokens)
        self._first = opening.num_prompt_tokens  # position of the first row's token
        self._num_sound = 0  # committed rows in the cache that are still true
        self._generation = 0
        self._moved = asyncio.Event()
        self._num_passes, self._num_runs, self._compute_s = 0, 0, 0.0
        self.replan(opening.plan)

    def cut(self, length: int) -> None:
        """Drop every token from position `length` on; the parent committed those before it."""
        del self._tokens[length:]
        self._committed_length = length
        # The last row is fed again: what followed it is gone.
        self._num_sound = min(self._num_sound, max(0, length - self._first - 1))
        self._changed()

    def append(self, token_ids: Sequence[int]) -> None:
        """Add tokens that the parent committed."""
        self._tokens += token_ids
        self._committed_length = len(self._tokens)
        self._changed()

    async def propose(self, max_tokens: int) -> Proposal | None:
        """Draft in the model's thread; waits for a change if there is nothing to draft from."""
        if not self._is_ready():
            self._moved.clear()
            await self._moved.wait()
            return None
        if len(self._tokens) - self._first + max_tokens > self._model.max_length:
            self._begin_at(self._committed_length - _KEPT_ROWS)
        work, generation = self._work(max_tokens), self._generation
        self._num_runs += 1
        began = time.perf_counter()
        self._num_sound = work.num_committed
        loop = asyncio.get_running_loop()
        draft = partial(self._cache.draft, work, self._plan.draft_confidence)
        drafted: Drafted = await loop.run_in_executor(self._executor, draft)
        compute_s = time.perf_counter() - began
        self._compute_s += compute_s
        self._num_passes += 1
        if generation != self._generation:
            return None
        self._tokens += drafted.token_ids
        sources = (self._plan.tier,) * len(drafted.token_ids)
        return Proposal(
            drafted.token_ids,
            sources,
            compute_s,
            1 if drafted.is_unsure else None,
            drafted.probs,
            drafted.distributions,
        )

    def replan(self, plan: Plan) -> None:
        """Take a new draft_confidence; raises PlanRefused for drafters below this one."""
        if plan.drafters:
            raise PlanRefused(f"{plan.tier} only drafts: nothing can draft for it")
        self._plan = plan

    def stats(self) -> tuple[list[PairStats], list[TierStats]]:
        """Return the time that drafts took."""
        stats = TierStats(
            self._plan.tier, num_forward_passes=self._num_passes, compute_s=self._compute_s
        )
        return [], [stats]

    async def close(self) -> None:
        """Give the cache back once no draft uses it."""
        self._executor.submit(self._cache.close)

    def _is_ready(self) -> bool:
        return self._committed_length > self._first

    def _work(self, max_tokens: int) -> Work:
        tokens = self._tokens[self._first :]
        return Work(
            tokens=tokens,
            states=self._states(),
            num_committed=self._committed_length - self._first,
            num_sound=self._num_sound,
            num_wanted=max_tokens,
            offset=int(self._model.widths[self._tokens[self._num_prompt_tokens :]].sum()),
            run=self._num_runs,
        )

    def _states(self) -> States | None:
        return None

    def _begin_at(self, first: int) -> None:
        """Forget the rows of the tokens before position `first`."""
        self._first, self._num_sound = first, 0

    def _changed(self) -> None:
        self._generation += 1
        self._moved.set()


class StatesProposer(TokensProposer):
    """Proposes from the target's hidden states, from the first ones on that it was sent."""

    def __init__(self, model: DistilledModel, opening: DraftOpening, executor: Executor) -> None:
        super().__init__(model, opening, executor)
        self._known = np.empty((0, model.manifest.shape.hidden_size), np.float32)
        self._num_missing = 0

    def cut(self, length: int) -> None:
        """Drop every token from position `length` on."""
        super().cut(length)
        self._known = self._known[: max(0, length - self._first)]

    def take_states(self, end: int, states: States) -> None:
        """Take the states of the positions before `end`, [positions, hidden_size].

        Raises Unsupported for a parent that sends none.
        """
        self._num_missing = 0 if len(states) else self._num_missing + 1
        if self._num_missing >= _MOST_MISSING:
            target = self._model.manifest.target
            raise Unsupported(f"{self._plan.tier} drafts from hidden states of {target}: none came")
        first = end + 1 - len(states)  # a state goes into the row of the token after it
        kept = first - self._first
        if not len(states):
            return
        if 0 <= kept <= len(self._known):
            self._known = np.concatenate([self._known[:kept], states])
        else:
            self._first, self._known, self._num_sound = first, states, 0
        self._committed_length = max(self._committed_length, end + 1)
        self._changed()

    def _is_ready(self) -> bool:
        num_committed = self._committed_length - self._first
        return super()._is_ready() and len(self._known) >= num_committed

    def _states(self) -> States:
        return self._known

    def _begin_at(self, first: int) -> None:
        self._known = self._known[first - self._first :]
        super()._begin_at(first)
