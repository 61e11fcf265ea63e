"""Runs the feedback service: settings, wiring, serving."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from services.feedback import embedded
from services.feedback.connection import Connection
from services.feedback.drift import DriftGuard
from services.feedback.estimates import Estimator
from services.feedback.guardrail import Guardrail
from services.feedback.guards import Guards
from services.feedback.identity import Principals
from services.feedback.operators import Operators
from services.feedback.servicer import FeedbackServicer
from services.feedback.settings import Settings
from services.feedback.store import Memory, Store
from services.feedback.trial_guard import TrialGuard
from services.feedback.trials import TrialLearning
from services.feedback.watch import PolicyFeed
from tiercel.launch import launch


@asynccontextmanager
async def opening(settings: Settings) -> AsyncIterator[FeedbackServicer]:
    """Connect to Redis, or start an embedded one, and follow what is learned."""
    principals = Principals.read(settings.principals_file)
    strictness, pacing = settings.strictness(), settings.pacing()
    trials = TrialLearning(settings.allowance())
    async with AsyncExitStack() as stack:
        url = settings.store_url()
        if not url:
            url = await stack.enter_async_context(embedded.running(settings.data_dir))
        memory = Memory(
            half_life_s=settings.half_life_s,
            dedup_s=settings.dedup_s,
            ratings_s=settings.ratings_s,
            rating_half_life_s=settings.rating_half_life_s,
            restart_run_length=settings.restart_run_length,
            max_cells=settings.max_cells,
            keep_every_s=settings.keep_every_s,
            max_ratings_per_rater=settings.max_ratings_per_rater,
            max_rater_weight=settings.max_rater_weight,
            vigilance=settings.vigilance(),
            audits_per_level=strictness.standard.num_audits,
        )
        connection = Connection(
            url, namespace=settings.namespace, timeout_s=settings.store_timeout_s
        )
        stack.push_async_callback(connection.close)
        store = Store(connection, memory, strictness.steering, pacing)
        operators = Operators(connection)
        feed = PolicyFeed(
            store,
            Estimator(
                settings.min_judged_tokens,
                settings.prior_tokens,
                strictness=strictness,
                trials=trials,
                pacing=pacing,
            ),
            Guards(
                Guardrail(strictness, operators),
                TrialGuard(trials, operators),
                DriftGuard(memory.vigilance, operators),
            ),
            poll_s=settings.poll_s,
            push_interval_s=settings.push_interval_s,
        )
        await stack.enter_async_context(feed.running())
        yield FeedbackServicer(store, feed, operators, principals)


def main() -> None:
    """Serve feedback until told to stop."""
    launch("tiercel-feedback", Settings, opening)


if __name__ == "__main__":
    main()
