"""How the price of cost is led so that answers keep to a budget on average: dual ascent.

The best policy within a mean cost is the best of quality - cost_weight x cost for one weight; that
is its Lagrange multiplier, and is found by raising it when answers cost too much (Balseiro, Lu and
Mirrokni, arXiv:2011.10124; ParetoBandit's pacer is of this form).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pacing:
    """A budget, and how fast the weight follows.

    What is led is the *pressure*, the quality that a cost of `target` is worth: it has no unit, so
    that gain and cap suit any prices. The weight is pressure / target.
    """

    target: float  # mean cost of an answer, above 0
    gain: float = 0.05
    max_step: float = 0.05  # of quality
    max_pressure: float = 10.0
    min_answers: int = 20  # whose mean cost makes a step

    def stepped(self, pressure: float, mean_cost: float) -> float:
        """Return the pressure after a batch of answers.

        pressure <- min(max_pressure, max(0, pressure + gain * (mean_cost / target - 1))), by at
        most `max_step`. Without cap and ends, n batches cost n * target in all, but for (last -
        first pressure) / gain batches: whatever comes, the mean goes to the target.
        """
        move = self.gain * (mean_cost / self.target - 1.0)
        move = max(-self.max_step, min(self.max_step, move))
        return min(self.max_pressure, max(0.0, pressure + move))

    def cost_weight(self, pressure: float) -> float:
        """Return the quality that a unit of cost is worth."""
        return pressure / self.target
