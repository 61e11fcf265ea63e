"""Runs the router: settings, wiring, serving."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from services.router.admission import Admission
from services.router.fleet import Fleet
from services.router.learned import Advice
from services.router.outcomes import OutcomeReporter
from services.router.policy import Policy, StaticPolicy, policy_named
from services.router.predicted import PredictedPolicy
from services.router.routing import Limits, Router
from services.router.servicer import RouterServicer
from services.router.settings import Settings
from services.router.watching import Watcher
from tiercel import tiers
from tiercel.clients.feedback import FeedbackClient
from tiercel.errors import InvalidRequest
from tiercel.launch import launch
from tiercel.prediction.predictor import Predictor


@asynccontextmanager
async def opening(settings: Settings) -> AsyncIterator[RouterServicer]:
    """Open a router over the configured tiers; raises TiercelError for a bad configuration."""
    configuration = tiers.load(Path(settings.config) if settings.config else None)
    policies = _policies(settings, configuration)
    policy_named(policies, settings.policy)
    fleet = Fleet(configuration.tiers.keys())
    advice, outcomes = Advice(), OutcomeReporter()
    router = Router(
        configuration,
        fleet,
        policies=policies,
        default_policy=settings.policy,
        admission=Admission(
            max_concurrent=settings.max_concurrent,
            max_queued=settings.max_queued,
            max_wait_s=settings.max_wait_s,
        ),
        limits=Limits(
            heartbeat_s=settings.heartbeat_s,
            max_outage_s=settings.max_outage_s,
            allowed_addresses=settings.allowed_addresses,
        ),
        advice=advice,
        outcomes=outcomes,
    )
    async with AsyncExitStack() as stack:
        watcher = Watcher(fleet, configuration.tiers, poll_s=settings.poll_s)
        await stack.enter_async_context(watcher.watching())
        if address := settings.feedback or configuration.feedback.address:
            feedback = FeedbackClient(address)
            stack.push_async_callback(feedback.close)
            await stack.enter_async_context(advice.following(feedback))
            await stack.enter_async_context(outcomes.reporting(feedback))
        yield RouterServicer(router, max_request_s=settings.max_request_s)


def _policies(settings: Settings, configuration: tiers.Configuration) -> dict[str, Policy]:
    default_plan = configuration.default_plan
    policies: dict[str, Policy] = {"static": StaticPolicy(default_plan)}
    if settings.predictor:
        policies["predicted"] = PredictedPolicy(
            Predictor.load(Path(settings.predictor)),
            configuration.plans,
            default_plan=default_plan,
            exploration=settings.exploration,
            cost_weight=settings.cost_weight,
        )
    elif settings.policy == "predicted":
        why = "needs a predictor, the folder that tiercel train wrote"
        raise InvalidRequest("policy", settings.policy, why)
    return policies


def main() -> None:
    """Serve the router until told to stop."""
    launch("tiercel-router", Settings, opening)


if __name__ == "__main__":
    main()
