"""How strictness follows divergence once it is certified.

The store does it by itself, in `services/feedback/lua/follow.lua`; this is the same step for
replays, which have no store. A test holds the two against each other.
"""

from dataclasses import dataclass

# With 1 it would be EXACT, of which no divergence is told: there would be no way back.
CEILING = 0.99


@dataclass(frozen=True)
class Steering:
    """How strictness follows divergence: strictness += gain * (divergence - target)."""

    gain: float = 0.5
    max_step: float = 0.05
    dead_band: float = 0.005  # of divergence, within which nothing moves
    min_answers: int = 20  # whose mean divergence makes a step
    first: float | None = None  # strictness to begin with; None: the certified level

    def stepped(self, strictness: float, divergence: float, target: float, floor: float) -> float:
        """Return the strictness after the mean `divergence` of `min_answers` answers."""
        distance = divergence - target
        if abs(distance) <= self.dead_band:
            return strictness
        move = max(-self.max_step, min(self.max_step, self.gain * distance))
        return max(floor, min(CEILING, strictness + move))
