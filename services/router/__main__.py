"""Runs the router: settings, wiring, serving."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from services.router.admission import Admission
from services.router.aftermath import Aftermath
from services.router.cascade.stopper import Stoppers
from services.router.cascade.trained_stopper import Cascaded, trained_cascade
from services.router.conversations import Conversations
from services.router.deciding import Decider
from services.router.decision_log import DecisionLog
from services.router.fleet import Fleet
from services.router.forecasts.chain_times import ChainTimes
from services.router.forecasts.forecasting import Forecaster, Grader
from services.router.forecasts.grading import Featuriser, QualityGrader
from services.router.forecasts.trained_seconds import TrainedSeconds
from services.router.learning.learned import Advice
from services.router.learning.outcomes import OutcomeReporter
from services.router.learning.spool import Spool
from services.router.learning.trials import PolicyTrial
from services.router.policies import Wrapping, all_policies
from services.router.replanning import Replanner
from services.router.residency.demand import Demand
from services.router.residency.keeping import MemoryKeeper
from services.router.routing import Limits, Router
from services.router.servicer import RouterServicer
from services.router.settings import Settings
from services.router.studies.choosing import studies
from services.router.studies.off_path import OffPath
from services.router.watching import Watcher
from tiercel import tiers
from tiercel.clients.feedback import FeedbackClient
from tiercel.config import read_secret
from tiercel.dead_letters import FILE as REFUSED_FILE
from tiercel.dead_letters import DeadLetters
from tiercel.errors import InvalidRequest
from tiercel.launch import launch
from tiercel.prediction.predictor import Predictor
from tiercel.prediction.quality.featuriser import definition_hash
from tiercel.prediction.quality.predictor import SHIPPED, QualityPredictor
from tiercel.routing.cascade import Ahead
from tiercel.routing.policy import Policy
from tiercel.routing.registry import PolicySettings

_POLICY_FILE, _SPOOL_FILE = "policy.binpb", "outcomes.sqlite"


@asynccontextmanager
async def opening(
    settings: Settings, *, grader: Grader | None = None
) -> AsyncIterator[RouterServicer]:
    """Open a router over the configured tiers; raises TiercelError for a bad configuration.

    A `grader` that is given predicts qualities in place of the one of the settings.
    """
    configuration = tiers.load(Path(settings.config) if settings.config else None)
    fleet, state = Fleet(configuration.tiers.keys()), settings.state_dir
    advice = Advice(state / _POLICY_FILE if state else None)
    spool = Spool(state / _SPOOL_FILE, settings.max_spooled) if state else None
    outcomes = OutcomeReporter(spool, DeadLetters(state / REFUSED_FILE) if state else None)
    prices = {name: tier.price_per_second for name, tier in configuration.tiers.items()}
    times, conversations = ChainTimes(fleet, advice, prices), Conversations()
    log, cascade = DecisionLog(settings.decision_log), _cascade(settings, configuration)
    policies = _policies(settings, cascade.ahead() if cascade else None)
    feedback_address = settings.feedback or configuration.feedback.address
    decider = Decider(
        configuration.plans,
        fleet,
        default_plan=configuration.default_plan,
        policies=policies,
        default_policy=settings.policy,
        forecaster=Forecaster(
            times,
            grader=grader or _grader(settings, configuration),
            trained=_trained(settings, configuration),
            prices=prices,
            advice=advice,
        ),
        advice=advice,
        conversations=conversations,
        escalates=cascade is not None,
        trial=_trial(settings, policies, advice, is_watched=bool(feedback_address)),
    )
    replanner = Replanner(configuration.plans, decider, times)
    demand = _demand(settings, configuration, fleet, times)
    admission = Admission(
        max_concurrent=settings.max_concurrent,
        max_queued=settings.max_queued,
        max_wait_s=settings.max_wait_s,
    )
    off_path = OffPath(
        studies(settings, configuration, fleet, advice),
        report=outcomes.put,
        is_busy=lambda: admission.is_full,
    )
    router = Router(
        configuration,
        fleet,
        decider=decider,
        admission=admission,
        limits=Limits(
            heartbeat_s=settings.heartbeat_s,
            max_outage_s=settings.max_outage_s,
            allowed_addresses=settings.allowed_addresses,
            min_strictness=settings.min_strictness,
        ),
        advice=advice,
        outcomes=outcomes,
        aftermath=Aftermath(conversations, times, log, outcomes, demand),
        replanner=replanner,
        off_path=off_path,
        stoppers=_stoppers(cascade, configuration, times),
    )
    async with AsyncExitStack() as stack:
        stack.enter_context(log.writing())
        looked = replanner.look if settings.replanning else None
        watcher = Watcher(fleet, configuration.tiers, poll_s=settings.poll_s, looked=looked)
        await stack.enter_async_context(watcher.watching())
        if demand is not None:
            keep_s, poll_s = settings.keep_loaded_s, settings.poll_s
            keeper = MemoryKeeper(configuration, fleet, demand, keep_s=keep_s, poll_s=poll_s)
            await stack.enter_async_context(keeper.keeping())
        if feedback_address:
            feedback = FeedbackClient(feedback_address, token=_token(settings.feedback_token_file))
            stack.push_async_callback(feedback.close)
            await stack.enter_async_context(advice.following(feedback))
            await stack.enter_async_context(outcomes.reporting(feedback))
            await stack.enter_async_context(off_path.working())
        yield RouterServicer(router, max_request_s=settings.max_request_s)


def _token(file: Path | None) -> str:
    return read_secret("feedback_token_file", file) if file else ""


def _policies(settings: Settings, ahead: Ahead | None) -> dict[str, Policy]:
    fitted = settings.fitted_policies
    return all_policies(
        PolicySettings(
            cost_weight=settings.cost_weight,
            target_quality=settings.target_quality,
            fitted=Path(fitted) if fitted else None,
            features_definition=definition_hash(),
            ahead=ahead,
        ),
        Wrapping(settings.exploration, settings.switch_margin, settings.switch_cost),
        default=settings.policy,
        on_trial=settings.trial_policy,
    )


def _trial(
    settings: Settings, policies: Mapping[str, Policy], advice: Advice, *, is_watched: bool
) -> PolicyTrial | None:
    if not settings.trial_policy:
        return None
    if settings.trial_share and not is_watched:
        why = "needs a feedback service, which watches over it"
        raise InvalidRequest("trial_share", settings.trial_share, why)
    return PolicyTrial(
        settings.trial_policy,
        policies[settings.trial_policy],
        incumbent=settings.policy,
        share=settings.trial_share,
        cost_weight=settings.cost_weight,
        watched=advice,
    )


def _grader(settings: Settings, configuration: tiers.Configuration) -> Grader | None:
    if not settings.quality:
        return Featuriser() if settings.fitted_policies else None
    folder = SHIPPED if settings.quality == SHIPPED.name else Path(settings.quality)
    return QualityGrader(QualityPredictor.load(folder), configuration.tiers)


def _trained(settings: Settings, configuration: tiers.Configuration) -> TrainedSeconds | None:
    if not settings.predictor:
        return None
    return TrainedSeconds(Predictor.load(Path(settings.predictor)), configuration.plans)


def _demand(
    settings: Settings, configuration: tiers.Configuration, fleet: Fleet, times: ChainTimes
) -> Demand | None:
    if not configuration.machines:
        return None
    fade_s, weight = settings.demand_fade_s, settings.cost_weight
    return Demand(configuration.plans, fleet, times, fade_s=fade_s, cost_weight=weight)


def _cascade(settings: Settings, configuration: tiers.Configuration) -> Cascaded | None:
    if not settings.stopping:
        return None
    return trained_cascade(Path(settings.stopping), configuration.plans)


def _stoppers(
    cascade: Cascaded | None, configuration: tiers.Configuration, times: ChainTimes
) -> Stoppers | None:
    def wait_s(name: str) -> float:
        found = times.of(configuration.plans[name].plan(), "", {})
        return found.begin_s if found is not None else 0.0

    return cascade.stoppers(wait_s) if cascade else None


def main() -> None:
    """Serve the router until told to stop."""
    launch("tiercel-router", Settings, opening)


if __name__ == "__main__":
    main()
