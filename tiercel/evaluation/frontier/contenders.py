"""Who is compared: the policies of the router, and the baselines that they have to beat."""

from collections.abc import Mapping
from itertools import starmap
from types import MappingProxyType
from typing import Protocol

import numpy as np

from tiercel.evaluation.frontier import sweeps
from tiercel.evaluation.frontier.bandit import Bandit
from tiercel.evaluation.frontier.cascades import (
    Probing,
    RunAll,
    Stopping,
    by_likelihood,
    by_prediction,
    inducted,
    pandora,
    thresholds,
)
from tiercel.evaluation.frontier.fold import PROBE_TOKENS, Fold
from tiercel.evaluation.frontier.hashed_ridge import hashed_ridge
from tiercel.evaluation.frontier.learners import DistilledReward, linear, nearest
from tiercel.evaluation.frontier.points import Points
from tiercel.evaluation.frontier.policies import PolicyContender, of_ones_own
from tiercel.evaluation.frontier.table import Doubles, Table
from tiercel.routing.costs import CostOnly, Random
from tiercel.routing.policy import Wishes
from tiercel.routing.qualities import Budget, Target, Utility
from tiercel.routing.registry import Factory

STATIC, ORACLE, UTILITY, BANDIT = "static plans", "oracle", "utility", "metallm"
RIDGE, NEIGHBOURS = "hashed ridge", "knn"
CONTROL = "mean of all (control)"
"""Knows no prompt from another: what it seems to win is what a hull makes of chance."""


class Contender(Protocol):
    """Answers prompts at several settings of its knob."""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        ...

    def replay(self, fold: Fold) -> Points:
        """Return what it gives and takes on the fold's test prompts."""
        ...


def contenders_of(
    table: Table, num_weights: int = 20, policies: Mapping[str, Factory] = MappingProxyType({})
) -> list[Contender]:
    """Return all that a table permits: without evidence nobody can look at answers.

    Stopping rules are fitted for so many weights each. `policies` are further ones, by name.
    """
    own: list[Contender] = [
        _utility(),
        _target(),
        _budget(),
        *starmap(of_ones_own, policies.items()),
    ]
    baselines: list[Contender] = [
        PolicyContender("cost_only", lambda fold, setting: CostOnly()),
        PolicyContender("random", lambda fold, setting: Random()),
        sweeps.Sweep(CONTROL, sweeps.mean_of_all),
        sweeps.Sweep("length rule", sweeps.mean_of_length),
        sweeps.Sweep("mean of data set", sweeps.mean_of_kind),
        sweeps.Sweep(NEIGHBOURS, nearest),
        sweeps.Sweep(RIDGE, hashed_ridge),
        Bandit(BANDIT),
        sweeps.Sweep("metallm, full information", linear),
        DistilledReward(),
    ]
    if set(table.strata) != set(table.examples.kinds):
        baselines.append(sweeps.Sweep("mean of subject, told", sweeps.mean_of_stratum))
    if has_evidence(table):
        own += _looking(num_weights)
        baselines += _looking_baselines(num_weights)
    return [*own, *baselines, sweeps.Oracle(ORACLE)]


def has_evidence(table: Table) -> bool:
    """Return whether anything is known of the answers' tokens."""
    return bool(table.examples.evidence.shape[2] and table.examples.evidence.any())


def _utility() -> Contender:
    return PolicyContender(
        UTILITY,
        lambda fold, setting: Utility(),
        lambda setting: Wishes(cost_weight=setting),
        lambda fold: fold.weights,
    )


def _target() -> Contender:
    return PolicyContender(
        "target",
        lambda fold, setting: Target(),
        lambda setting: Wishes(target_quality=setting),
        lambda fold: np.linspace(0.02, 0.98, 49),
    )


def _budget() -> Contender:
    return PolicyContender(
        "budget",
        lambda fold, setting: Budget(),
        lambda setting: Wishes(max_cost=setting),
        _budgets,
    )


def _budgets(fold: Fold) -> Doubles:
    """Return budgets among which those to test are chosen: quantiles of what plans take."""
    budgets: Doubles = np.quantile(fold.train.costs, np.linspace(0, 1, 41))
    return budgets


def _looking(num_weights: int) -> list[Contender]:
    return [
        Probing(PROBE_TOKENS),
        Stopping("cascade", inducted, num_weights=num_weights),
        Stopping(
            f"cascade after {PROBE_TOKENS} tokens", inducted, PROBE_TOKENS, num_weights=num_weights
        ),
    ]


def _looking_baselines(num_weights: int) -> list[Contender]:
    return [
        Stopping("thresholds (FrugalGPT)", thresholds, num_weights=num_weights),
        Stopping("Pandora's index", pandora, num_weights=num_weights),
        RunAll("run all, rank by prediction", by_prediction),
        RunAll("run all, rank by likelihood", by_likelihood),
    ]
