"""What learners are put through: one scenario at a time, over many streams, in each condition."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tiercel.evaluation.learning.learner import Factory, Repriced
from tiercel.evaluation.learning.measures import (
    Recovery,
    Regret,
    Utilities,
    curve,
    recovery,
    regret,
    smoothed,
    utilities_of,
)
from tiercel.evaluation.learning.prepared import Prepared
from tiercel.evaluation.learning.replay import Course, Feedback, Stream, replayed
from tiercel.evaluation.learning.world import (
    NO_CHANGE,
    Change,
    Doubles,
    configured_price,
    new_price,
    quality_drop,
)

DROP_SHARE = 0.4
PRICE_FACTOR = 10.0
# Shares of the fair price: below 1 the best plan is worth its cost on the whole, above it is not.
_CHEAP, _DEAR = 0.5, 2.0


@dataclass(frozen=True)
class Scale:
    """How much is replayed."""

    num_streams: int = 20
    num_before: int = 800  # requests before the change
    num_after: int = 1500
    seed: int = 0

    @property
    def length(self) -> int:
        """Requests of a stream."""
        return self.num_before + self.num_after


@dataclass(frozen=True, eq=False)
class Scenario:
    """A world, what happens to it, and whether anything does."""

    name: str
    prepared: Prepared
    change: Change


@dataclass(frozen=True)
class Result:
    """One learner in one scenario, with one kind of feedback."""

    scenario: str
    feedback: str
    learner: str
    regret: Regret
    recovery: Recovery | None  # None where nothing changes
    seeds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Curves:
    """What is drawn of a result: cumulative regret over the best static plan, and utility."""

    regret: Doubles  # [3, requests]: mean, low, high
    utility: Doubles  # mean over windows and streams
    best: Doubles


def scenarios(found: Prepared) -> list[Scenario]:
    """Return nothing, a silent drop of the best plan, and prices that rise and fall.

    Prices that stand in the configuration need no learning; others are learned from answers.
    """
    cheap, dear = found.weighed(_CHEAP), found.weighed(_DEAR)
    best = _best_plan(cheap)
    costly = found.world.plans[int(found.world.costs.mean(axis=0).argmax())]
    return [
        Scenario("steady", cheap, NO_CHANGE),
        Scenario("quality drop", cheap, quality_drop(best, DROP_SHARE)),
        Scenario("price rises", cheap, new_price(costly, PRICE_FACTOR)),
        Scenario("price rises, configured", cheap, configured_price(costly, PRICE_FACTOR)),
        Scenario("price falls", dear, new_price(costly, 1 / PRICE_FACTOR)),
        Scenario("price falls, configured", dear, configured_price(costly, 1 / PRICE_FACTOR)),
    ]


def run(
    scenario: Scenario,
    feedback: Feedback,
    learners: Mapping[str, Factory],
    scale: Scale,
    half_life: float,
    run_length: float = 0.0,
) -> list[tuple[Result, Curves]]:
    """Return what each learner does on the same streams."""
    world = scenario.prepared.world
    seeds = tuple(range(scale.seed, scale.seed + scale.num_streams))
    streams = [Stream.drawn(len(world.scores), scale.length, seed) for seed in seeds]
    course = Course.of(world, scenario.change, scale.num_before)
    problem = replace(
        scenario.prepared.problem,
        half_life=half_life,
        run_length=run_length,
        repriced=Repriced(scale.num_before, scenario.change.prices),
    )
    found = []
    for name, make in learners.items():
        taken = [replayed(course, one, make(problem), feedback) for one in streams]
        utilities = utilities_of(course, streams, taken)
        result = Result(
            scenario.name,
            feedback.name,
            name,
            regret(utilities),
            None if scenario.change is NO_CHANGE else _recovery(utilities, scale),
            seeds,
        )
        found.append((result, _curves(utilities)))
    return found


def _recovery(utilities: Utilities, scale: Scale) -> Recovery:
    after = slice(scale.num_before, None)
    return recovery(utilities.learner[:, after], utilities.best[:, after])


def _curves(utilities: Utilities) -> Curves:
    return Curves(
        curve(utilities.static, utilities.learner),
        smoothed(utilities.learner).mean(axis=0),
        smoothed(utilities.best).mean(axis=0),
    )


def _best_plan(found: Prepared) -> str:
    return found.world.plans[int(found.world.utilities.mean(axis=0).argmax())]
