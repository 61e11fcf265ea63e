"""The whole replay on one table: learners, changes, a new drafter, harm; no file is written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tiercel.evaluation.frontier.provenance import Provenance, provenance
from tiercel.evaluation.learning.audits import Auditing
from tiercel.evaluation.learning.coverage import Coverage, OverTime, covered, naive_errors
from tiercel.evaluation.learning.drafters import Drafting, DraftingResult, Pace, with_new_drafter
from tiercel.evaluation.learning.harm import HarmCurve
from tiercel.evaluation.learning.learner import FOREVER, Factory
from tiercel.evaluation.learning.learners import LEARNERS, RATED, THOMPSON
from tiercel.evaluation.learning.prepared import Prepared
from tiercel.evaluation.learning.replay import ALL, CONDITIONS, Stream
from tiercel.evaluation.learning.scenarios import Curves, Result, Scale, run, scenarios

Told = Callable[[str], None]
GOAL = 300
"""Requests within which a learner is to be back."""
HALF_LIVES = (100.0, 200.0, 400.0, FOREVER)
AUDITED = ((0.02, 1.0), (0.2, 1.0), (0.2, 1 / 3))
"""Share of requests that is audited; when drift comes, as a share of `Auditing.drift_at`."""
SCORED_SHARES = (0.05, 0.0)
# What the router can be set to is replayed in every condition, the others with all feedback.
_PRODUCT = (THOMPSON, RATED)


@dataclass(frozen=True)
class Settings:
    """How a replay is made."""

    scale: Scale = field(default_factory=Scale)
    half_life: float = FOREVER  # of ratings: 7 days, as the service has it, are no number here
    run_length: float = 300.0  # ratings until old ones are dropped for nothing; 0: they never are
    outcome_half_life: float = 200.0  # requests, of what is learned of drafters
    refresh: int = 50  # requests between two snapshots
    num_runs: int = 200  # of each rule
    auditing: Auditing = field(default_factory=Auditing)
    own: Mapping[str, Factory] = field(default_factory=dict)  # learners of others, by name


@dataclass(frozen=True)
class Sweep:
    """What forgetting costs where nothing changes, and how soon it forgets where something did."""

    learner: str
    half_life: float
    run_length: float
    steady: Result
    drop: Result
    drop_rarely_rated: Result


@dataclass(frozen=True)
class Report:
    """All that was found on one table."""

    name: str
    cost_unit: str
    made_with: Provenance
    sources: Mapping[str, str]
    plans: tuple[str, ...]
    num_prompts: int  # of which streams are drawn
    fair_weight: float
    goal: int
    settings: Mapping[str, float]
    changes: Mapping[str, str]  # by scenario
    results: tuple[Result, ...]
    half_lives: tuple[Sweep, ...]
    drafting: tuple[DraftingResult, ...]
    coverage: tuple[Coverage, ...]
    naive: Mapping[str, float]
    naive_harm: float


@dataclass(frozen=True, eq=False)
class Drawn:
    """What only figures show."""

    curves: Mapping[tuple[str, str, str], Curves]  # by scenario, feedback and learner
    harm: Sequence[tuple[Coverage, OverTime]]
    change_at: int


@dataclass(frozen=True, eq=False)
class Subject:
    """What is replayed."""

    name: str
    cost_unit: str
    sources: Mapping[str, str]
    prepared: Prepared
    drafting: Drafting | None
    harm: Sequence[HarmCurve]


def replayed_all(
    subject: Subject, settings: Settings, told: Told = lambda text: None
) -> tuple[Report, Drawn]:
    """Return the report of a table, and what is drawn of it; `told` hears what is being done."""
    made_with = provenance()  # first: its code is what was there at the start
    found = list(_learned(subject, settings, told))
    told("half-lives")
    sweeps = tuple(
        _sweep(subject, settings, learner, half_life, run_length)
        for learner in _PRODUCT
        for run_length in (0.0, settings.run_length)
        for half_life in HALF_LIVES
    )
    told("a new drafter")
    drafting = tuple(_drafting(subject, settings))
    told("harm")
    covers = [
        covered(curve, auditing, settings.num_runs, settings.scale.seed)
        for curve in subject.harm
        for auditing in _audited(settings.auditing)
    ]
    standard = settings.auditing.standard
    naive_harm = standard.epsilon + 0.001
    report = Report(
        name=subject.name,
        cost_unit=subject.cost_unit,
        made_with=made_with,
        sources=subject.sources,
        plans=subject.prepared.world.plans,
        num_prompts=len(subject.prepared.world.scores),
        fair_weight=subject.prepared.fair_weight,
        goal=GOAL,
        settings=_numbers(settings),
        changes={one.name: one.change.name for one in scenarios(subject.prepared)},
        results=tuple(result for result, _ in found),
        half_lives=sweeps,
        drafting=drafting,
        coverage=tuple(one for one, _ in covers),
        naive=naive_errors(naive_harm, standard, 20 * settings.num_runs, settings.scale.seed),
        naive_harm=naive_harm,
    )
    curves = {(one.scenario, one.feedback, one.learner): drawn for one, drawn in found}
    return report, Drawn(curves, covers, settings.scale.num_before)


def _learned(subject: Subject, settings: Settings, told: Told) -> Sequence[tuple[Result, Curves]]:
    everyone = {**LEARNERS, **settings.own}
    product = {name: one for name, one in everyone.items() if name in (*_PRODUCT, *settings.own)}
    found: list[tuple[Result, Curves]] = []
    for scenario in scenarios(subject.prepared):
        for feedback in CONDITIONS:
            told(f"{scenario.name}, {feedback.name}")
            who = everyone if feedback is ALL else product
            found += run(
                scenario,
                feedback,
                who,
                settings.scale,
                settings.half_life,
                settings.run_length,
            )
    return found


def _sweep(
    subject: Subject, settings: Settings, learner: str, half_life: float, run_length: float
) -> Sweep:
    steady, drop = scenarios(subject.prepared)[:2]
    who = {learner: LEARNERS[learner]}
    tried = ((steady, ALL), (drop, ALL), (drop, CONDITIONS[1]))
    results = [run(*one, who, settings.scale, half_life, run_length)[0][0] for one in tried]
    return Sweep(learner, half_life, run_length, *results)


def _drafting(subject: Subject, settings: Settings) -> Sequence[DraftingResult]:
    if subject.drafting is None:
        return ()
    scale = settings.scale
    count = len(subject.drafting.matches[subject.drafting.new])
    streams = [
        Stream.drawn(count, scale.length, seed)
        for seed in range(scale.seed, scale.seed + scale.num_streams)
    ]
    return [
        with_new_drafter(
            subject.drafting,
            streams,
            scale.num_before,
            feedback,
            Pace(settings.outcome_half_life, settings.refresh, share),
        )
        for share in SCORED_SHARES
        for feedback in CONDITIONS
        if not feedback.flipped  # outcomes are counts: there is no label in them
    ]


def _audited(auditing: Auditing) -> list[Auditing]:
    """Return audits of few and of many requests, and a drift that comes early."""
    after = auditing.num_requests - auditing.drift_at
    found = []
    for share, when in AUDITED:
        at = round(when * auditing.drift_at)
        found.append(replace(auditing, running_share=share, drift_at=at, num_requests=at + after))
    return found


def _numbers(settings: Settings) -> dict[str, float]:
    scale, auditing = settings.scale, settings.auditing
    return {
        "streams": scale.num_streams,
        "requests_before_change": scale.num_before,
        "requests_after_change": scale.num_after,
        "half_life_requests": settings.half_life,
        "run_length_ratings": settings.run_length,
        "half_life_of_outcomes": settings.outcome_half_life,
        "refresh_requests": settings.refresh,
        "runs_of_a_rule": settings.num_runs,
        "requests_after_drift": auditing.num_requests - auditing.drift_at,
        "drift_of_harm": auditing.drift,
        "certifying_share": auditing.certifying_share,
        "epsilon": auditing.standard.epsilon,
        "delta": auditing.standard.delta,
    }
