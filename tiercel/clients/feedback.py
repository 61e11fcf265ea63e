"""The feedback service's client, outcomes and ratings go in, policies come out."""

from collections.abc import AsyncIterator, Sequence

from tiercel import rpc
from tiercel.learning import Event, LearnedPolicy, Rating
from tiercel.v1 import feedback_pb2
from tiercel.v1.feedback_pb2_grpc import FeedbackStub
from tiercel.wire.feedback import rating_to_pb, report_to_pb
from tiercel.wire.learned import policy_from_pb

_TIMEOUT_S = 5.0


class FeedbackClient:
    """A connection to the feedback service at `address`; connects on first use."""

    def __init__(self, address: str) -> None:
        self._channel = rpc.channel(address)
        self._feedback = FeedbackStub(self._channel)

    async def close(self) -> None:
        """Close the connection; open calls end."""
        await self._channel.close()

    async def report(self, events: Sequence[Event]) -> None:
        """Report events; doing so twice does no harm. Raises TiercelError."""
        with rpc.translated():
            await self._feedback.Report(report_to_pb(events), timeout=_TIMEOUT_S)

    async def rate(self, rating: Rating) -> bool:
        """Rate an answer; return whether the rating was new. Raises TiercelError."""
        with rpc.translated():
            response = await self._feedback.Rate(rating_to_pb(rating), timeout=_TIMEOUT_S)
        return not response.duplicate

    async def policy(self) -> LearnedPolicy:
        """Return the learned policy as it is now. Raises TiercelError."""
        with rpc.translated():
            request = feedback_pb2.GetPolicyRequest()
            response = await self._feedback.GetPolicy(request, timeout=_TIMEOUT_S)
        return policy_from_pb(response.policy)

    async def watch(self, have: LearnedPolicy) -> AsyncIterator[LearnedPolicy]:
        """Yield the learned policy whenever it is not the one the caller has.

        Raises TiercelError when the stream fails; ends when the service ends it.
        """
        request = feedback_pb2.WatchRequest(have_version=have.version, have_epoch=have.epoch)
        call = self._feedback.Watch(request)
        try:
            with rpc.translated():
                async for response in call:
                    yield policy_from_pb(response.policy)
        finally:
            call.cancel()
