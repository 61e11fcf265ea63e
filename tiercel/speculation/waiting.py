"""The turns that wait for a model, and which of them the next pass takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tiercel.speculation.turn import LEAST_PIECE, Batch, Turn

# A turn of more tokens is a prompt's: it goes through the model in pieces, after narrower ones.
_NARROW = 32
# Tokens of a prompt in one pass of an engine without batches, so that others get a turn soon.
_PIECE = 64
# A prompt may be overtaken by another that is shorter by one token for each of these seconds
# that it came later: short ones do not wait for long ones, and none waits for ever.
_SECONDS_PER_TOKEN = 0.001
# How far one turn moves the running mean of what turns wait.
_NEWEST = 0.02


@dataclass(frozen=True)
class _Waiting:
    """A turn, and when it is due."""

    turn: Turn[Any]
    number: int  # grows with every turn that comes
    due: float  # of prompts: the earliest goes first
    since: float

    @property
    def is_narrow(self) -> bool:
        return len(self.turn.tokens) <= _NARROW


class WaitingTurns:
    """First come first served, but for prompts: they go one after the other, beside the rest."""

    def __init__(self, max_batch_rows: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Give batches of up to `max_batch_rows` tokens, with 0 one turn at a time."""
        self._most, self._clock = max_batch_rows, clock
        self._waiting: dict[Turn[Any], _Waiting] = {}
        self._dues: dict[Turn[Any], float] = {}  # of prompts that are under way
        self._next_number = 0
        self._last_piece = 0  # the number up to which a prompt had its share
        self.wait_s = 0.0  # that turns other than prompts waited, of late

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    @property
    def num_tokens(self) -> int:
        """How many tokens wait."""
        return sum(waiting.turn.num_left for waiting in self._waiting.values())

    def add(self, turn: Turn[Any]) -> None:
        """Add a turn, or the rest of one that a pass has taken a piece of."""
        now = self._clock()
        self._dues.setdefault(turn, now + turn.num_left * _SECONDS_PER_TOKEN)
        self._waiting[turn] = _Waiting(turn, self._next_number, self._dues[turn], now)
        self._next_number += 1

    def discard(self, turn: Turn[Any]) -> None:
        """Forget a turn that is over, or that nobody wants any more."""
        self._waiting.pop(turn, None)
        self._dues.pop(turn, None)

    def take(self) -> Batch | None:
        """Remove and return the turns of the next pass, None if none waits."""
        narrow = [waiting for waiting in self._waiting.values() if waiting.is_narrow]
        wide = [waiting for waiting in self._waiting.values() if not waiting.is_narrow]
        wide.sort(key=lambda waiting: (waiting.due, waiting.number))
        if not self._waiting:
            return None
        batch = self._batch(narrow, wide) if self._most else self._one(narrow, wide)
        for turn in batch.turns:
            self._note_wait(self._waiting.pop(turn))
        return batch

    def _note_wait(self, taken: _Waiting) -> None:
        if taken.is_narrow:
            self.wait_s += _NEWEST * (self._clock() - taken.since - self.wait_s)

    def _batch(self, narrow: list[_Waiting], wide: list[_Waiting]) -> Batch:
        """Take as many as may find room; a prompt always does, however many others there are."""
        chosen: list[Turn[Any]] = []
        room = self._most
        kept_free = LEAST_PIECE if wide else 0
        for waiting in narrow:
            if chosen and waiting.turn.num_left > room - kept_free:
                break
            chosen.append(waiting.turn)
            room -= waiting.turn.num_left
        if room >= LEAST_PIECE:
            chosen += [waiting.turn for waiting in wide]
        return Batch(tuple(chosen), self._most)

    def _one(self, narrow: list[_Waiting], wide: list[_Waiting]) -> Batch:
        """Serve the prompts together as if they were one session among the narrow turns."""
        prompt = wide[0] if wide else None
        if prompt and (not narrow or max(prompt.number, self._last_piece) <= narrow[0].number):
            self._last_piece = self._next_number
            return Batch((prompt.turn,), _PIECE)
        return Batch((narrow[0].turn,), narrow[0].turn.num_left)
