"""Feedback over gRPC: unpack, delegate, pack."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager

import grpc
from prometheus_client import Counter

from services.feedback import metrics
from services.feedback.store import Store
from services.feedback.watch import PolicyFeed
from tiercel.errors import InvalidRequest, Unavailable
from tiercel.learning import LearnedPolicy
from tiercel.v1 import feedback_pb2 as pb
from tiercel.v1 import feedback_pb2_grpc as pb_grpc
from tiercel.wire.feedback import outcomes_from_pb, policy_to_pb, rating_from_pb


class FeedbackServicer(pb_grpc.FeedbackServicer):
    """Takes outcomes and ratings into a store, and tells what is learned."""

    def __init__(self, store: Store, feed: PolicyFeed) -> None:
        self._store, self._feed = store, feed

    def register(self, server: grpc.aio.Server) -> list[str]:
        """Add the handlers; return the names of the services."""
        pb_grpc.add_FeedbackServicer_to_server(self, server)
        return [pb.DESCRIPTOR.services_by_name["Feedback"].full_name]

    async def drain(self) -> None:
        """End the streams of watchers."""
        self._feed.close()

    async def Report(self, request: pb.ReportRequest, context: object) -> pb.ReportResponse:
        """Learn from outcomes."""
        with _counted(metrics.outcomes, len(request.outcomes)):
            applied = await self._store.apply(outcomes_from_pb(request.outcomes))
        num_applied = sum(applied)
        num_duplicates = len(applied) - num_applied
        metrics.outcomes.labels("applied").inc(num_applied)
        metrics.outcomes.labels("duplicate").inc(num_duplicates)
        return pb.ReportResponse(num_applied=num_applied, num_duplicates=num_duplicates)

    async def Rate(self, request: pb.RateRequest, context: object) -> pb.RateResponse:
        """Keep a judgement of an answer."""
        with _counted(metrics.ratings, 1):
            applied = await self._store.rate(rating_from_pb(request))
        metrics.ratings.labels("applied" if applied else "duplicate").inc()
        return pb.RateResponse(duplicate=not applied)

    async def GetPolicy(
        self, request: pb.GetPolicyRequest, context: object
    ) -> pb.GetPolicyResponse:
        """Return the learned policy."""
        return pb.GetPolicyResponse(policy=policy_to_pb(await self._feed.current()))

    async def Watch(
        self, request: pb.WatchRequest, context: object
    ) -> AsyncIterator[pb.WatchResponse]:
        """Yield the learned policy, and again on each change."""
        have = LearnedPolicy(request.have_epoch, request.have_version)
        async with aclosing(self._feed.changes(have)) as changes:
            async for policy in changes:
                yield pb.WatchResponse(policy=policy_to_pb(policy))


@contextmanager
def _counted(counter: Counter, number: int) -> Iterator[None]:
    """Count what was not taken, and why."""
    try:
        yield
    except (InvalidRequest, Unavailable) as error:
        result = "refused" if isinstance(error, InvalidRequest) else "failed"
        counter.labels(result).inc(number)
        raise
