"""The weight of cost that keeps a budget: what the store is told of answers, and what came of it.

The steps themselves are done in the store, by `pace.lua`.
"""

from collections.abc import Mapping

from services.feedback.cells import Cell, Sums
from tiercel.learning import Event, Outcome, PacingPolicy
from tiercel.routing.pacing import Pacing

Cells = Mapping[Cell, Sums]


def paced(event: Event, pacing: Pacing | None) -> list[str]:
    """Return what an event says of the budget, as pace.lua reads it."""
    if pacing is None or not isinstance(event, Outcome) or event.cost is None:
        return [""]
    numbers = (event.cost, pacing.target, pacing.gain, pacing.max_step, pacing.max_pressure)
    return [Cell.of_pacing().name, *map(repr, numbers), str(pacing.min_answers)]


def cost_weight(cells: Cells, pacing: Pacing | None) -> float | None:
    """Return the quality that a unit of cost is worth; None without a budget."""
    if pacing is None:
        return None
    pressure = cells.get(Cell.of_pacing(), {}).get("pressure", 0.0)
    return pacing.cost_weight(min(pacing.max_pressure, pressure))


def kept(cells: Cells, pacing: Pacing | None) -> PacingPolicy | None:
    """Return how the budget is kept; None without one."""
    if pacing is None:
        return None
    late, led = cells.get(Cell.of_cost(), {}), cells.get(Cell.of_pacing(), {})
    answers = late.get("answers", 0.0)
    mean = late["cost"] / answers if answers else 0.0
    return PacingPolicy(pacing.target, mean, answers, round(led.get("steps", 0.0)))
