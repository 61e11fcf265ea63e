"""Harm and divergence of a lossy rule by strictness: recorded beside EXACT, or made up.

Harm is 1 where an answer scores lower than what EXACT answered; divergence is the share of its
tokens that EXACT would have refused.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tiercel.evaluation.column import parse_column
from tiercel.evaluation.learning.world import Doubles
from tiercel.evaluation.matrix import Cells
from tiercel.evaluation.outcomes import Outcome

_FEWEST_LEVELS, _FEWEST_ANSWERS = 3, 59
_ANSWERS = 2000  # that are made up for each level
# How much one made-up answer's divergence is worth beside the mean: Beta's alpha + beta.
_CONCENTRATION = 20.0


@dataclass(frozen=True, eq=False)
class HarmCurve:
    """Pairs of divergence and harm [2, answers] at several levels, lenient ones first."""

    name: str
    is_synthetic: bool
    strictness: Doubles  # [levels], rising
    pairs: tuple[Doubles, ...]

    @cached_property
    def harms(self) -> Doubles:
        """The share of harmed answers at each level, [levels]."""
        return np.array([pairs[1].mean() for pairs in self.pairs])

    def true_harm(self, strictness: float, factor: float = 1.0) -> float:
        """Return the expected share of harmed answers; `factor` is what drift makes of it."""
        return min(1.0, factor * float(np.interp(strictness, self.strictness, self.harms)))

    def drawn(
        self, strictness: float, count: int, random: np.random.Generator, factor: float = 1.0
    ) -> Doubles:
        """Return `count` answers, [2, count]; between two levels, of either by its nearness."""
        place = float(np.interp(strictness, self.strictness, np.arange(len(self.pairs))))
        low, high = self.pairs[int(place)], self.pairs[min(int(place) + 1, len(self.pairs) - 1)]
        uniform = random.random((3, count))
        rows = [(uniform[0] * one.shape[1]).astype(np.intp) for one in (low, high)]
        is_high = uniform[1] < place % 1
        found = np.where(is_high, high[:, rows[1]], low[:, rows[0]])
        harm = self.true_harm(strictness)
        more = max(0.0, factor - 1.0) * harm / max(1e-12, 1.0 - harm)
        found[1] = np.maximum(found[1], uniform[2] < more)
        return found


def made_up(name: str, harm_of_divergence: float, least_harm: float = 0.0) -> HarmCurve:
    """Return a synthetic rule: divergence grows as strictness falls, harm grows with divergence.

    The mean divergence is 0.4 (1 - strictness); harm is certain with probability `least_harm`, and
    else has a chance of `harm_of_divergence` x divergence.
    """
    random = np.random.default_rng(0)
    levels = np.linspace(0.5, 1.0, 11)
    pairs = []
    for mean in (0.4 * (1.0 - levels)).tolist():
        divergence = random.beta(
            mean * _CONCENTRATION + 1e-6, (1 - mean) * _CONCENTRATION, _ANSWERS
        )
        chance = least_harm + (1 - least_harm) * harm_of_divergence * divergence
        harmed = random.random(_ANSWERS) < chance
        pairs.append(np.stack([divergence, harmed]).astype(np.float64))
    return HarmCurve(f"{name} (synthetic)", True, levels, tuple(pairs))


SYNTHETIC = (
    ("harmless", 0.1, 0.0),
    ("harmful when lenient", 0.5, 0.0),
    ("harmful at every level", 0.0, 0.06),
)


def recorded(cells: Iterable[Cells]) -> list[HarmCurve]:
    """Return the rules of the matrix with levels and answers enough, each a curve; maybe none."""
    exact: dict[tuple[str, str, str], Outcome] = {}
    lossy: dict[tuple[str, str], dict[float, list[tuple[str, Outcome]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for one in cells:
        column, set_name = parse_column(one.manifest.column), one.manifest.set_name
        if column.temperature:
            continue
        for outcome in one.outcomes:
            if column.is_one_tier:
                exact[str(column.plan), set_name, outcome.prompt_id] = outcome
            elif column.plan.drafters:
                own = str(column.plan), column.rule
                lossy[own][column.strictness].append((set_name, outcome))
    found = []
    for (plan, rule), levels in lossy.items():
        root = parse_column(plan).plan.tier
        pairs = {at: _pairs(root, answers, exact) for at, answers in sorted(levels.items())}
        kept = {at: one for at, one in pairs.items() if one.shape[1] >= _FEWEST_ANSWERS}
        if len(kept) >= _FEWEST_LEVELS:
            found.append(_with_exact(f"{plan}, {rule}", kept))
    return found


def _pairs(
    root: str,
    answers: list[tuple[str, Outcome]],
    exact: dict[tuple[str, str, str], Outcome],
) -> Doubles:
    """Return divergence and harm [2, answers] of those whose prompt EXACT answered too."""
    rows = []
    for set_name, one in answers:
        own = exact.get((root, set_name, one.prompt_id))
        compared = one.counts.get(f"compared.{root}", 0)
        if own is not None and own.scores and one.scores and compared:
            divergence = one.counts.get(f"divergent.{root}", 0) / compared
            rows.append((divergence, float(_score(one) < _score(own))))
    return np.array(rows, np.float64).reshape(-1, 2).T


def _score(one: Outcome) -> float:
    return next(iter(one.scores.values()))


def _with_exact(name: str, levels: dict[float, Doubles]) -> HarmCurve:
    """Return the curve with strictness 1, at which nothing differs, at its end."""
    everything = {**levels, 1.0: np.zeros((2, 1))}
    strictness = np.array(sorted(everything))
    return HarmCurve(name, False, strictness, tuple(everything[at] for at in sorted(everything)))
