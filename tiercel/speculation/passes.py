"""Forward passes over the turns of several sessions; none of them can harm another."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from tiercel.engines.language_model import LanguageModel, Logits, Step, TreeCache
from tiercel.engines.trees import behind
from tiercel.errors import Overloaded
from tiercel.speculation.prefixes import PrefixStore
from tiercel.speculation.row_cost import RowCost
from tiercel.speculation.speed import SpeedMeter
from tiercel.speculation.turn import Batch, Memory, Turn

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What became of a turn in a pass: more to feed, or its end, with what was judged or raised.

    Neither a result nor an error: the turn had become stale.
    """

    is_over: bool = True
    result: Any = None
    error: BaseException | None = None


class Passes:
    """One model and its caches; used in the model's thread only."""

    def __init__(self, model: LanguageModel, prefix_cache_tokens: int) -> None:
        """Keep up to so many tokens of ended sessions for new ones that begin alike."""
        self._model = model
        self._prefixes = PrefixStore(model, prefix_cache_tokens)
        self.row_cost, self.speed = RowCost(), SpeedMeter()

    def run(self, batch: Batch) -> list[Outcome]:
        """Run one pass; return the outcomes of the turns in order, also of those without room."""
        began, began_s = time.perf_counter(), time.thread_time()
        outcomes, steps = self._begun(batch)
        logits = self._extend(list(steps.values()))
        seconds = time.perf_counter() - began
        self._note_cost(list(steps.values()), time.thread_time() - began_s)
        self._note_speed(list(steps.values()), seconds)
        for (place, step), rows in zip(steps.items(), logits, strict=True):
            turn = batch.turns[place]
            turn.seconds += seconds
            outcomes[place] = self._end(turn, step, rows)
        return outcomes

    def release(self, memory: Memory, tokens: Sequence[int]) -> None:
        """Take the cache of a session that is over; its sequence begins with `tokens`."""
        if memory.cache is not None:
            self._prefixes.give_back(memory.cache, tokens[: memory.length])
            memory.cache = None

    def close(self) -> None:
        """Close the caches that are kept, and the model."""
        self._prefixes.forget_kept()
        self._model.close()

    def _note_cost(self, steps: Sequence[Step], seconds: float) -> None:
        """Learn what rows cost from passes over one session's draft: prompts are cheaper."""
        if len(steps) == 1 and steps[0].num_logits == len(steps[0].tokens):
            self.row_cost.note(len(steps[0].tokens), seconds)

    def _note_speed(self, steps: Sequence[Step], seconds: float) -> None:
        """Learn how fast the model is: with no prompt in a pass, or with nothing else."""
        num_rows = sum(len(step.tokens) for step in steps)
        if all(step.num_logits == len(step.tokens) for step in steps):
            if steps:
                self.speed.note_pass(num_rows, seconds)
        elif len(steps) == 1:
            self.speed.note_prompt(num_rows, seconds)

    def _begun(self, batch: Batch) -> tuple[list[Outcome], dict[int, Step]]:
        """Return all turns' outcomes so far, and by place the steps of those that take part."""
        outcomes, steps, room = [], dict[int, Step](), batch.room
        for place, turn in enumerate(batch.turns):
            has_room = not steps or turn.fits(room)
            outcomes.append(self._begin(turn) if has_room else Outcome(is_over=False))
            if has_room and not outcomes[place].is_over:
                steps[place] = self._step(turn, room)
                room -= len(steps[place].tokens)
        return outcomes, steps

    def _begin(self, turn: Turn[Any]) -> Outcome:
        """Bring the turn's cache to where the turn goes on."""
        if turn.is_stale():
            return Outcome()
        try:
            self._bring(turn)
        except Exception as error:
            return Outcome(error=error)
        return Outcome(is_over=False)

    def _bring(self, turn: Turn[Any]) -> None:
        memory = turn.memory
        if memory.cache is None:
            memory.cache = self._prefixes.open(turn.tokens, turn.num_logits)
            turn.num_fed = memory.num_adopted = memory.length
        elif turn.num_fed == 0:
            if turn.start < memory.num_shared:
                self._prefixes.withdraw(memory.cache)
                memory.num_shared = 0
            memory.cache.truncate(turn.start)

    def _step(self, turn: Turn[Any], most: int) -> Step:
        assert turn.memory.cache is not None
        count = turn.piece(most)
        tokens = turn.tokens[turn.num_fed : turn.num_fed + count]
        if count < turn.num_left:
            return Step(turn.memory.cache, tokens, 0)
        parents = None if turn.parents is None else behind(count, turn.parents)
        return Step(turn.memory.cache, tokens, turn.num_logits, turn.hidden, parents)

    def _extend(self, steps: list[Step]) -> list[Logits | Exception]:
        """Return the logits of each step, or what it raised if it is run without the others."""
        if not steps:
            return []
        lengths = [step.cache.length for step in steps]
        try:
            return list(self._model.extend(steps))
        except Exception as error:
            for step, length in zip(steps, lengths, strict=True):
                step.cache.truncate(min(length, step.cache.length))
            if isinstance(error, Overloaded) and self._prefixes.num_kept_tokens:
                # There is no room for more, unless the kept caches give up theirs.
                self._prefixes.forget_kept()
                return self._extend(steps)
            if len(steps) == 1:
                return [error]
        return [result for step in steps for result in self._extend([step])]

    def _end(self, turn: Turn[Any], step: Step, logits: Logits | Exception) -> Outcome:
        if isinstance(logits, Exception):
            return Outcome(error=logits)
        turn.num_fed += len(step.tokens)
        self._share(turn)
        if turn.num_left:
            return Outcome(is_over=False)
        began = time.perf_counter()
        try:
            result = _judged(turn, step, logits)
        except Exception as error:
            return Outcome(error=error)
        turn.seconds += time.perf_counter() - began
        return Outcome(result=result)

    def _share(self, turn: Turn[Any]) -> None:
        """Let others start from what this session has of its prompt.

        The last token of a prompt may be fed again, so the cache may lack it for a moment.
        """
        memory, held = turn.memory, turn.start + turn.num_fed
        length = min(held, memory.num_lasting)
        if turn.start == 0 and length > memory.num_shared and memory.cache is not None:
            self._prefixes.share(memory.cache, turn.tokens[:length])
            memory.num_shared = length


def _judged(turn: Turn[T], step: Step, logits: Logits) -> T:
    """Return what the turn makes of its logits; of a tree only what it keeps stays in the cache."""
    if turn.parents is None:
        return turn.judge(logits)
    lead, kept = len(step.tokens) - len(turn.parents), list[int]()
    try:
        result = turn.judge(logits)
        kept += turn.kept(result)
        return result
    finally:
        path = [*range(lead), *(lead + place for place in kept)]
        cast(TreeCache, step.cache).keep(path)
