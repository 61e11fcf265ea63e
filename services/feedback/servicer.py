"""Feedback over gRPC: unpack, delegate, pack."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Any

import grpc
from prometheus_client import Counter

from services.feedback import metrics
from services.feedback.identity import Principals
from services.feedback.operators import Operators
from services.feedback.store import Store
from services.feedback.watch import PolicyFeed
from tiercel.errors import InvalidRequest, Unavailable
from tiercel.learning import LearnedPolicy
from tiercel.v1 import feedback_pb2 as pb
from tiercel.v1 import feedback_pb2_grpc as pb_grpc
from tiercel.wire.feedback import events_from_pb, rating_from_pb
from tiercel.wire.learned import change_to_pb, policy_to_pb

_MAX_HISTORY = 100
_MAX_IMPORT_BYTES = 64 << 20


class FeedbackServicer(pb_grpc.FeedbackServicer):
    """Takes events and ratings into a store, tells what is learned, and does as operators ask."""

    def __init__(
        self, store: Store, feed: PolicyFeed, operators: Operators, principals: Principals
    ) -> None:
        self._store, self._feed = store, feed
        self._operators, self._principals = operators, principals

    def register(self, server: grpc.aio.Server) -> list[str]:
        """Add the handlers; return the names of the services."""
        pb_grpc.add_FeedbackServicer_to_server(self, server)
        return [pb.DESCRIPTOR.services_by_name["Feedback"].full_name]

    async def drain(self) -> None:
        """End the streams of watchers."""
        self._feed.close()

    async def Report(self, request: pb.ReportRequest, context: Any) -> pb.ReportResponse:
        """Learn from events."""
        number = len(request.outcomes) + len(request.draft_scores) + len(request.audits)
        self._principals.named(context)
        with _counted(metrics.events, number):
            applied = await self._store.apply(events_from_pb(request), self._feed.goals)
        num_applied = sum(applied)
        num_duplicates = len(applied) - num_applied
        metrics.events.labels("applied").inc(num_applied)
        metrics.events.labels("duplicate").inc(num_duplicates)
        return pb.ReportResponse(num_applied=num_applied, num_duplicates=num_duplicates)

    async def Rate(self, request: pb.RateRequest, context: Any) -> pb.RateResponse:
        """Keep a judgement of an answer; where tokens are asked for, the rater is their owner."""
        with _counted(metrics.ratings, 1):
            rating = rating_from_pb(request)
            rater = self._principals.named(context, rating.rater)
            applied = await self._store.rate(replace(rating, rater=rater))
        metrics.ratings.labels("applied" if applied else "duplicate").inc()
        return pb.RateResponse(duplicate=not applied)

    async def GetPolicy(self, request: pb.GetPolicyRequest, context: Any) -> pb.GetPolicyResponse:
        """Return the learned policy."""
        return pb.GetPolicyResponse(policy=policy_to_pb(await self._feed.current()))

    async def Watch(
        self, request: pb.WatchRequest, context: Any
    ) -> AsyncIterator[pb.WatchResponse]:
        """Yield the learned policy, and again on each change."""
        have = LearnedPolicy(request.have_epoch, request.have_version)
        async with aclosing(self._feed.changes(have)) as changes:
            async for policy in changes:
                yield pb.WatchResponse(policy=policy_to_pb(policy))

    async def Freeze(self, request: pb.FreezeRequest, context: Any) -> pb.FreezeResponse:
        """Learn no further, or learn again."""
        author = self._principals.named(context)
        version = await self._operators.freeze(
            frozen=request.frozen, author=author, reason=request.reason
        )
        return pb.FreezeResponse(version=version)

    async def Rollback(self, request: pb.RollbackRequest, context: Any) -> pb.RollbackResponse:
        """Put an earlier version back."""
        author = self._principals.named(context)
        version = await self._operators.roll_back(
            request.version, author=author, reason=request.reason
        )
        return pb.RollbackResponse(version=version)

    async def Reset(self, request: pb.ResetRequest, context: Any) -> pb.ResetResponse:
        """Forget what is learned."""
        author = self._principals.named(context)
        version = await self._operators.reset(request.what, author=author, reason=request.reason)
        return pb.ResetResponse(version=version)

    async def GetHistory(
        self, request: pb.GetHistoryRequest, context: Any
    ) -> pb.GetHistoryResponse:
        """Return who or what changed the policy."""
        limit = request.limit if request.HasField("limit") else _MAX_HISTORY
        changes = await self._operators.history(limit) if limit else []
        return pb.GetHistoryResponse(changes=[change_to_pb(change) for change in changes])

    async def Export(
        self, request: pb.ExportRequest, context: Any
    ) -> AsyncIterator[pb.ExportResponse]:
        """Yield all that is learned."""
        self._principals.named(context)
        async with aclosing(self._operators.export()) as lines:
            async for line in lines:
                yield pb.ExportResponse(data=line)

    async def Import(
        self, request_iterator: AsyncIterator[pb.ImportRequest], context: Any
    ) -> pb.ImportResponse:
        """Take over an export in place of all that is learned."""
        author, data = self._principals.named(context), bytearray()
        async for request in request_iterator:
            data += request.data
            if len(data) > _MAX_IMPORT_BYTES:
                why = f"an export has at most {_MAX_IMPORT_BYTES} bytes"
                raise InvalidRequest("data", len(data), why)
        lines = data.decode(errors="replace").splitlines()
        epoch, version = await self._operators.restore(lines, author=author, reason="")
        return pb.ImportResponse(epoch=epoch, version=version)


@contextmanager
def _counted(counter: Counter, number: int) -> Iterator[None]:
    """Count what was not taken, and why."""
    try:
        yield
    except (InvalidRequest, Unavailable) as error:
        result = "refused" if isinstance(error, InvalidRequest) else "failed"
        counter.labels(result).inc(number)
        raise
