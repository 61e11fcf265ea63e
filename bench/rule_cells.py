"""One cell of the comparison of acceptance rules, its row in the table, and the picture of all."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from tiercel.plan_text import print_rule
from tiercel.rules import is_lossy
from tiercel.types import Acceptance, Rule

matplotlib.use("Agg")
COLUMNS = ("plan", "T", "rule", "accepted", "similarity", "divergent", "mean gap", "tokens/s", "x")


@dataclass(frozen=True)
class Cell:
    """One rule under one plan and temperature, over all prompts."""

    plan: str
    temperature: float
    rule: str
    strictness: float
    num_tokens: int
    seconds: float
    num_accepted: int
    num_judged: int
    similarity: float | None
    num_compared: int
    num_divergent: int
    logprob_gap: float
    plain_tokens_per_s: float

    @property
    def acceptance(self) -> float:
        """Share of judged draft tokens that stood."""
        return self.num_accepted / max(1, self.num_judged)

    @property
    def divergence(self) -> float:
        """Share of the answers' tokens that EXACT would have refused."""
        return self.num_divergent / max(1, self.num_compared)

    def row(self) -> tuple[str, ...]:
        """Return what stands under the columns."""
        speed = self.num_tokens / self.seconds
        rule = print_rule(Acceptance(Rule(self.rule), self.strictness))[1:-1]
        lossy = is_lossy(Rule(self.rule))
        return (
            self.plan,
            f"{self.temperature:g}",
            rule,
            f"{self.acceptance:.3f}",
            "-" if self.similarity is None else f"{self.similarity:.3f}",
            f"{self.divergence:.3f}" if lossy else "-",
            f"{self.logprob_gap / max(1, self.num_divergent):.2f}" if lossy else "-",
            f"{speed:.1f}",
            f"{speed / self.plain_tokens_per_s:.2f}",
        )


def draw(cells: Sequence[Cell], path: Path) -> None:
    """Draw acceptance against divergence at temperature 0, a panel for each plan."""
    greedy = [cell for cell in cells if cell.temperature == 0]
    plans = list(dict.fromkeys(cell.plan for cell in greedy))
    figure = Figure(figsize=(6 * len(plans), 4.5), layout="constrained")
    for place, plan in enumerate(plans, start=1):
        axes = figure.add_subplot(1, len(plans), place)
        of_plan = [cell for cell in greedy if cell.plan == plan]
        [exact] = [cell for cell in of_plan if cell.rule == Rule.EXACT.value]
        for rule in filter(is_lossy, Rule):
            curve = [exact, *(cell for cell in of_plan if cell.rule == rule.value)]
            if len(curve) > 1:
                shares = [100 * cell.divergence for cell in curve]
                rates = [cell.acceptance for cell in curve]
                axes.plot(shares, rates, "o-", markersize=3, label=rule.value)
        axes.set_title(plan)
        axes.set_xlabel("tokens that EXACT would have refused, %")
        axes.set_ylabel("draft tokens accepted")
        axes.legend(fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
