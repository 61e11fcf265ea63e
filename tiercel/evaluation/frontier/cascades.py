"""Contenders that look at an answer before they go on to another plan: evidence is charged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tiercel.evaluation.frontier.beliefs import Beliefs, believed
from tiercel.evaluation.frontier.fold import Fold
from tiercel.evaluation.frontier.points import Floats, Points, certain, from_odds, spread
from tiercel.evaluation.frontier.sweeps import utility_odds
from tiercel.evaluation.frontier.table import Doubles, Table
from tiercel.stopping.evidence import EVIDENCE_NAMES
from tiercel.stopping.fitting import fit
from tiercel.stopping.pandora import fit_pandora
from tiercel.stopping.replay import Rule, replay
from tiercel.stopping.stages import StageData
from tiercel.stopping.thresholds import fit_thresholds

RuleOf = Callable[[StageData, float], Rule]


@dataclass(frozen=True)
class Stopping:
    """A stopping rule over stages, from the first; its knob is the price of a second.

    With `prefix` tokens it decides after so many, without recall; else on whole answers, with it.
    `stages` are plan numbers, cheap ones first; None: all.
    """

    name: str
    rule_of: RuleOf
    prefix: int | None = None
    stages: tuple[int, ...] | None = None
    num_weights: int = 20  # that are fitted, and of which some are tested

    def replay(self, fold: Fold) -> Points:
        """Return the test prompts' points, cheap settings first."""
        learned = stage_data(fold.train, self.prefix, self.stages)
        weights = fold.weights[:: max(1, len(fold.weights) // self.num_weights)]
        rules = [self.rule_of(learned, weight) for weight in weights.tolist()]
        tried = _points(rules, stage_data(fold.validation, self.prefix, self.stages))
        chosen = spread(tried.cost.mean(axis=0).astype(np.float64))
        found = _points(
            [rules[at] for at in chosen], stage_data(fold.test, self.prefix, self.stages)
        )
        return Points(found.quality, found.cost + np.float32(fold.overhead))


@dataclass(frozen=True)
class Probing:
    """Utility once the cheapest plan's first tokens were seen; they are paid for if it is left."""

    prefix: int
    name: str = "utility after a probe"

    def replay(self, fold: Fold) -> Points:
        """Return the test prompts' points, cheap settings first."""
        validation, test = (self._beliefs(fold, part) for part in (fold.validation, fold.test))
        tried = self._points(fold.validation, utility_odds(validation, fold.weights), 0.0)
        chosen = spread(tried.cost.mean(axis=0).astype(np.float64))
        odds = utility_odds(test, fold.weights[chosen])
        return self._points(fold.test, odds, fold.overhead)

    def _beliefs(self, fold: Fold, table: Table) -> Beliefs:
        evidence = table.prefixes[self.prefix].evidence.copy()
        evidence[:, 1:] = np.nan
        beliefs = believed(fold.forecaster, fold.costs, table, evidence)
        # What was paid for the probe is gone whatever follows, unless the probe goes on.
        costs = beliefs.costs.copy()
        costs[:, 0] -= table.prefixes[self.prefix].costs[:, 0]
        return Beliefs(beliefs.quality, beliefs.bound, costs, beliefs.num_tokens)

    def _points(self, table: Table, odds: Floats, overhead: float) -> Points:
        found = from_odds(odds, table, overhead)
        left = (1.0 - odds[:, :, 0]) * table.prefixes[self.prefix].costs[:, :1]
        return Points(found.quality, found.cost + left.astype(np.float32), odds)


@dataclass(frozen=True)
class RunAll:
    """Every plan answers, and the answer that looks best is kept; all are charged.

    `judge` gives each answer's rank, [n, plans].
    """

    name: str
    judge: Callable[[Fold, Table], Doubles]

    def replay(self, fold: Fold) -> Points:
        """Return the test prompts' one point."""
        best = self.judge(fold, fold.test).argmax(axis=1)
        found = from_odds(certain(best[:, None], len(fold.table.plan_names)), fold.test)
        spent = fold.test.costs.sum(axis=1, keepdims=True) + fold.overhead
        return Points(found.quality, spent.astype(np.float32))


def by_prediction(fold: Fold, table: Table) -> Doubles:
    """Return the predictor's quality of each answer, all answers' evidence seen."""
    return believed(fold.forecaster, fold.costs, table, table.examples.evidence).quality


def by_likelihood(fold: Fold, table: Table) -> Doubles:
    """Return each answer's mean log-probability under its own plan."""
    place = EVIDENCE_NAMES.index("mean_logprob")
    return table.examples.evidence[:, :, place].astype(np.float64)


def inducted(data: StageData, weight: float) -> Rule:
    """Return the backward induction's rule."""
    return fit(data, weight, recall=data.prefix_tokens is None)


def thresholds(data: StageData, weight: float) -> Rule:
    """Return the best thresholds on scores (FrugalGPT)."""
    return fit_thresholds(data, weight, recall=data.prefix_tokens is None)


def pandora(data: StageData, weight: float) -> Rule:
    """Return Pandora's index; it needs recall."""
    return fit_pandora(data, weight)


def stage_data(table: Table, prefix: int | None, stages: Sequence[int] | None = None) -> StageData:
    """Return a table's plans as stages, in the order of their costs."""
    columns = list(range(len(table.plan_names)) if stages is None else stages)
    part = table.plans(columns)
    evidence = part.examples.evidence if prefix is None else part.prefixes[prefix].evidence
    return StageData(
        stages=part.plan_names,
        evidence_names=EVIDENCE_NAMES,
        evidence=evidence.astype(np.float64),
        kinds=part.examples.kinds,
        quality=part.scores,
        seconds=_seconds(part, prefix),
        groups=part.examples.groups,
        prefix_tokens=prefix,
    )


def _seconds(table: Table, prefix: int | None) -> Doubles:
    """Return what moves take, [n, 1 + plans, plans]; nothing of an answer is used again.

    What a prefix saves of its own answer is credited to the move that leaves it.
    """
    count, plans = table.costs.shape
    moves = np.repeat(table.costs[:, None, :], plans + 1, axis=1)
    if prefix is not None:
        moves[:, 1:] -= (table.costs - table.prefixes[prefix].costs)[:, :, None]
    back = np.tril(np.ones((plans, plans), bool))
    moves[:, 1:][:, back] = np.inf
    return moves.reshape(count, plans + 1, plans)


def _points(rules: Sequence[Rule], data: StageData) -> Points:
    by_rule = {id(rule): replay(rule, data) for rule in rules}
    found = [by_rule[id(rule)] for rule in rules]
    return Points(
        np.stack([one.quality for one in found], axis=1).astype(np.float32),
        np.stack([one.seconds for one in found], axis=1).astype(np.float32),
    )
