"""Worlds made up for tests: two plans, one kind of request, chances that are known."""

from dataclasses import replace

import numpy as np

from tiercel.evaluation.learning.learner import Prior, Problem
from tiercel.evaluation.learning.prepared import Prepared
from tiercel.evaluation.learning.world import World
from tiercel.routing.policy import Forecast, Situation

SMALL, LARGE = "small", "large"
COSTS = (1.0, 3.0)
WEIGHT = 0.05  # the large plan is worth 0.1 less than its score, for its cost


def world_of(small: float = 0.75, large: float = 0.95, count: int = 300) -> World:
    """Prompts that each plan answers well with a chance of its own."""
    random = np.random.default_rng(0)
    scores = (random.random((count, 2)) < (small, large)).astype(float)
    forecasts = (Forecast(SMALL, seconds=1.0, quality=small), Forecast(LARGE, 3.0, large))
    situations = [
        Situation(forecasts, LARGE, random.random(2).astype(np.float32), kind="sums")
        for _ in range(count)
    ]
    return World((SMALL, LARGE), scores, np.tile(COSTS, (count, 1)), situations, WEIGHT)


def problem_of(world: World, half_life: float = 50.0) -> Problem:
    """What history says: what is so before anything changes."""
    means = zip(world.plans, world.scores.mean(axis=0).tolist(), COSTS, strict=True)
    priors = {"sums": {plan: Prior(score, cost) for plan, score, cost in means}}
    return Problem(world.plans, world.cost_weight, 2, priors, half_life, refresh=25)


def prepared_of(world: World | None = None) -> Prepared:
    """A world at a price at which the large plan is the better one."""
    found = world or world_of()
    fair = 2 * found.cost_weight
    return Prepared(replace(found, cost_weight=fair), problem_of(found), fair)
