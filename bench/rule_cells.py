"""The cells of the comparison of acceptance rules: their file, their rows, and the picture."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from tiercel.errors import InvalidRequest
from tiercel.plan_text import Outline, parse_plan, print_rule
from tiercel.rules import is_lossy
from tiercel.types import Acceptance, Rule
from tiercel.whole_files import write_whole

matplotlib.use("Agg")
COLUMNS = (
    "plan", "T", "rule", "accepted", "similarity", "divergent", "mean gap", "unjudged",
    "tokens/pass", "tokens/s", "x",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One rule under one plan and temperature, over all prompts."""

    plan: str
    temperature: float
    rule: str
    strictness: float
    num_tokens: int
    seconds: float
    num_passes: int  # of the root
    num_accepted: int
    num_judged: int
    similarity: float | None
    num_compared: int
    num_divergent: int
    num_unjudged: int  # tokens that AGREEMENT let stand before the target saw them
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
            str(self.num_unjudged) if self.rule == Rule.AGREEMENT.value else "-",
            f"{self.num_tokens / max(1, self.num_passes):.2f}",
            f"{speed:.1f}",
            f"{speed / self.plain_tokens_per_s:.2f}",
        )


class Cells:
    """What is measured so far, in a file that grows with it; made by `load`."""

    def __init__(self, path: Path, asked: dict[str, Any], cells: list[Cell]) -> None:
        self._path, self._asked, self._cells = path, asked, cells

    @classmethod
    def load(cls, path: Path, prompts: Sequence[str], max_new_tokens: int) -> "Cells":
        """Return what a file holds, if there is one; raises InvalidRequest for other answers'."""
        digest = hashlib.sha256("\0".join(prompts).encode()).hexdigest()[:16]
        asked = {"prompts": digest, "num_prompts": len(prompts), "max_new_tokens": max_new_tokens}
        if not path.exists():
            return cls(path, asked, [])
        content = json.loads(path.read_text())
        if content["asked"] != asked:
            raise InvalidRequest("out", str(path), "is of other prompts or longer answers")
        return cls(path, asked, [Cell(**one) for one in content["cells"]])

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._cells)

    def add(self, cell: Cell) -> None:
        """Keep a cell, in the file too."""
        self._cells.append(cell)
        content = {"asked": self._asked, "cells": [asdict(one) for one in self._cells]}
        write_whole(self._path, json.dumps(content, indent=1).encode() + b"\n")

    def missing(
        self, plan: Outline, temperature: float, rules: Sequence[Acceptance]
    ) -> list[Acceptance]:
        """Return the rules that are not measured yet under a plan."""
        there = {
            (cell.rule, cell.strictness)
            for cell in self._cells
            if (cell.plan, cell.temperature) == (str(plan), temperature)
        }
        return [one for one in rules if (one.rule.value, one.strictness) not in there]


def curve(cells: Sequence[Cell], rule: Rule) -> list[Cell]:
    """Return EXACT's cell, then a rule's, the strictest first."""
    exact = [cell for cell in cells if cell.rule == Rule.EXACT.value]
    own = [cell for cell in cells if cell.rule == rule.value]
    return exact + sorted(own, key=lambda cell: -cell.strictness)


def draw(cells: Sequence[Cell], path: Path) -> None:
    """Draw acceptance against divergence at temperature 0, a panel for each plan."""
    greedy = [cell for cell in cells if cell.temperature == 0]
    plans = list(dict.fromkeys(cell.plan for cell in greedy))
    plans.sort(key=lambda plan: len(parse_plan(plan).drafters))
    figure = Figure(figsize=(6 * len(plans), 4.5), layout="constrained")
    for place, plan in enumerate(plans, start=1):
        axes = figure.add_subplot(1, len(plans), place)
        of_plan = [cell for cell in greedy if cell.plan == plan]
        for rule in filter(is_lossy, Rule):
            points = curve(of_plan, rule)
            if len(points) > 1:
                shares = [100 * cell.divergence for cell in points]
                rates = [cell.acceptance for cell in points]
                axes.plot(shares, rates, "o-", markersize=3, label=rule.value)
        axes.set_title(plan)
        axes.set_xlabel("tokens that EXACT would have refused, %")
        axes.set_ylabel("draft tokens accepted")
        axes.legend(fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
