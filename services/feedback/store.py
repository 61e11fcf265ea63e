"""What is learned, in Redis or Valkey: one Lua step for each event, so that it counts once."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from services.feedback.cells import ALL_KINDS, Cell, Snapshot, Sums, faded, rated_cells
from services.feedback.connection import Connection
from services.feedback.deltas import deltas
from services.feedback.drift import Vigilance, streams
from services.feedback.pacing import paced
from services.feedback.strictness import Goal, Remark, remarks
from services.feedback.trials import told, trial_named, unit_of
from tiercel.learning import Event, Outcome, Rating
from tiercel.routing.pacing import Pacing
from tiercel.strictness.following import Steering

log = structlog.get_logger(__name__)

_MAX_RATERS = 64


@dataclass(frozen=True)
class Memory:
    """How long the store remembers, and how much."""

    half_life_s: float = 3600.0
    dedup_s: float = 6 * 3600.0  # a later second delivery of an event would count again
    ratings_s: float = 7 * 24 * 3600.0
    rating_half_life_s: float = 7 * 24 * 3600.0
    max_cells: int = 4096  # of single kinds; those of all kinds may be as many again
    keep_every_s: float = 600.0  # how often a whole version is kept, to roll back to
    max_ratings_per_rater: int = 600  # that are learned from in an hour
    max_rater_weight: float = 10.0  # ratings of one rater in an hour that have full weight
    vigilance: Vigilance = field(default_factory=Vigilance)
    restart_run_length: float = 300.0  # ratings until old ones are dropped for nothing; 0: never
    audits_per_level: int = 59  # later ones at the same level are not counted


class Store:
    """Cells, ratings and versions; any number of replicas may share it."""

    def __init__(
        self,
        connection: Connection,
        memory: Memory,
        steering: Steering | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        """Keep what is learned for as long as `memory` says, and lead strictness by `steering`.

        A budget is kept by `pacing`; without it there is none.
        """
        self._connection, self._memory = connection, memory
        self._steering, self._pacing = steering or Steering(), pacing
        rated = ("bets", "trial", "drift", "restart")
        self._apply = connection.step(*rated, "follow", "pace", "apply")
        self._rate = connection.step(*rated, "rate")
        self._read = connection.step("read")
        self.hints = connection.hints

    async def apply(
        self, events: Sequence[Event], goals: Mapping[Cell, Goal] | None = None
    ) -> list[bool]:
        """Learn from events, each in one step; return which were new.

        `goals` say by cell which strictness is led, and to what. Raises Unavailable if some may not
        have been applied; delivering all again is safe.
        """
        work = self._apply_all(events, goals or {})
        return await self._connection.finished(work) if events else []

    async def rate(self, rating: Rating) -> bool:
        """Keep a rating; return whether it was new. Raises Unavailable."""
        return await self._connection.finished(self._rate_once(rating))

    async def read(self, have: Snapshot | None = None) -> Snapshot | None:
        """Return everything learned, or None if that is what the caller has. Raises Unavailable."""
        return await self._connection.finished(self._read_news(have))

    async def _apply_all(self, events: Sequence[Event], goals: Mapping[Cell, Goal]) -> list[bool]:
        calls = [(self._event_keys(event), self._arguments(event, goals)) for event in events]
        replies = await self._connection.run(self._apply, *calls)
        return [reply != 0 for reply in replies]

    def _event_keys(self, event: Event) -> list[str]:
        decision_id = event.decision_id if isinstance(event, Outcome) else ""
        names = ("state", "cells", f"event:{event.event_id}", *_decision(decision_id), "history")
        unit = f"unit:{unit_of(event)}"
        return [*self._connection.keys(*names, unit), *self._connection.places()]

    def _arguments(self, event: Event, goals: Mapping[Cell, Goal]) -> list[str | int | float]:
        memory = self._memory
        said = list(remarks(event, goals, self._steering))
        arguments: list[str | int | float] = [
            _ms(memory.dedup_s),
            self._connection.key("changes"),
            _ms(memory.keep_every_s),
            self._rated(event),
            _ms(memory.ratings_s),
            repr(memory.restart_run_length),
            len(said),
        ]
        for remark in said:
            arguments += self._remark(remark)
        arguments += paced(event, self._pacing)
        arguments += told(event, 2 * memory.max_cells)
        arguments += self._watched(event)
        for cell, sums in deltas(event):
            half_life = _ms(memory.half_life_s) if cell.fades else 0
            most = memory.audits_per_level if cell.subject[0] == "level" else ""
            arguments += [cell.name, self._limit(cell), half_life, most, *_listed(sums)]
        return arguments

    def _remark(self, remark: Remark) -> list[str | int | float]:
        """Return what one event says about a strictness, as follow.lua reads it."""
        goal, steering = remark.goal, self._steering
        numbers = [goal.num_audits, goal.first, goal.floor, goal.ceiling]
        numbers += [remark.strictness, remark.tolerance]
        numbers += [steering.gain, steering.max_step, steering.dead_band, steering.min_answers]
        numbers += [goal.max_harm]
        return [remark.cell.name, goal.level.name, *map(repr, numbers), *_listed(remark.sums)]

    def _rated(self, event: Event) -> str:
        """Return which cells ratings of an outcome's decision concern, as cells.lua reads it."""
        if not isinstance(event, Outcome) or not event.decision_id:
            return ""
        names = [cell.name for cell in rated_cells(event)]
        numbers = f"{_ms(self._memory.rating_half_life_s)} {2 * self._memory.max_cells}"
        if event.predicted_quality is not None:
            numbers += f" {event.predicted_quality!r}"
        return "\n".join([numbers, *names]) if names else ""

    def _watched(self, event: Event) -> list[str | int | float]:
        """Return what of an event is watched for drift, as drift.lua reads it."""
        vigilance = self._memory.vigilance
        found = list(streams(event)) if vigilance.run_length else []
        told = [part for cell, x in found for part in (cell.name, self._limit(cell), repr(x))]
        return [*vigilance.said(), len(found), *told]

    def _limit(self, cell: Cell) -> int:
        return self._memory.max_cells * (2 if cell.kind == ALL_KINDS else 1)

    async def _read_news(self, have: Snapshot | None) -> Snapshot | None:
        seen: list[str | int] = [have.epoch, have.version] if have else ["", 0]
        keys = self._connection.keys("state", "cells")
        [reply] = await self._connection.run(self._read, (keys, [*seen, uuid.uuid4().hex]))
        return self._snapshot(*reply) if len(reply) > 2 else None

    async def _rate_once(self, rating: Rating) -> bool:
        names = ("state", "cells", f"rated:{rating.event_id}", *_decision(rating.decision_id))
        keys = self._connection.keys(*names, f"rater:{rating.rater}", "history")
        arguments: list[str | int | float] = [
            _ms(self._memory.dedup_s),
            _ms(self._memory.ratings_s),
            _MAX_RATERS,
            rating.rater,
            repr(rating.score),
            self._connection.key("changes"),
            self._memory.max_ratings_per_rater,
            _ms(3600.0),
            repr(self._memory.max_rater_weight),
            *self._memory.vigilance.said(),
            repr(self._memory.restart_run_length),
        ]
        [reply] = await self._connection.run(self._rate, (keys, arguments))
        return bool(reply)

    def _snapshot(
        self,
        epoch: str,
        version: int,
        at: str,
        fields: Sequence[str],
        frozen: str | None,
        ended: Sequence[str],
    ) -> Snapshot:
        cells = {}
        for name, text in zip(fields[::2], fields[1::2], strict=True):
            cell = Cell.named(name)
            half_life_s = self._half_life_s(cell)
            if (sums := faded(text, at_ms=float(at), half_life_s=half_life_s)) is None:
                log.warning("a cell of the store holds garbage; it is left out", cell=name)
            else:
                cells[cell] = sums
        over = zip(ended[::2], ended[1::2], strict=True)
        why = {trial_named(name): reason for name, reason in over}
        return Snapshot(epoch, version, cells, frozen, why)

    def _half_life_s(self, cell: Cell) -> float:
        if not cell.fades:
            return float("inf")
        rated = cell.subject[0] == "quality"
        return self._memory.rating_half_life_s if rated else self._memory.half_life_s


def _listed(sums: Sums) -> list[str | int]:
    """Return sums as the Lua steps read them: how many, then names and numbers of all digits."""
    return [len(sums), *(part for name, delta in sums.items() for part in (name, repr(delta)))]


def _decision(decision_id: str) -> tuple[str, str]:
    """Return the names of the keys of a decision and of its ratings."""
    return f"decision:{decision_id}", f"rating:{decision_id}"


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
