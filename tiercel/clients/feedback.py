"""The feedback service's client, outcomes and ratings go in, policies come out."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from tiercel import rpc
from tiercel.learning import Change, Event, LearnedPolicy, Rating
from tiercel.v1 import feedback_pb2
from tiercel.v1.feedback_pb2_grpc import FeedbackStub
from tiercel.wire.feedback import rating_to_pb, report_to_pb
from tiercel.wire.learned import change_from_pb, policy_from_pb

_TIMEOUT_S = 5.0
_PIECE_BYTES = 1 << 20


class FeedbackClient:
    """A connection to the feedback service at `address`; connects on first use."""

    def __init__(self, address: str, *, token: str = "") -> None:
        """Connect on first use; a `token` says who calls, where the service asks for that."""
        self._channel = rpc.channel(address)
        self._feedback = FeedbackStub(self._channel)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def close(self) -> None:
        """Close the connection; open calls end."""
        await self._channel.close()

    async def report(self, events: Sequence[Event]) -> None:
        """Report events; doing so twice does no harm. Raises TiercelError."""
        with rpc.translated():
            request = report_to_pb(events)
            await self._feedback.Report(request, timeout=_TIMEOUT_S, metadata=self._metadata)

    async def rate(self, rating: Rating) -> bool:
        """Rate an answer; return whether the rating was new. Raises TiercelError."""
        with rpc.translated():
            request = rating_to_pb(rating)
            response = await self._feedback.Rate(
                request, timeout=_TIMEOUT_S, metadata=self._metadata
            )
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

    async def freeze(self, *, frozen: bool, reason: str) -> int:
        """Have it learn no further, or again; return the version that made. Raises TiercelError."""
        request = feedback_pb2.FreezeRequest(frozen=frozen, reason=reason)
        return await self._operated(self._feedback.Freeze, request)

    async def roll_back(self, version: int, *, reason: str) -> int:
        """Have an earlier version put back; return the new one. Raises NotFound, TiercelError."""
        request = feedback_pb2.RollbackRequest(version=version, reason=reason)
        return await self._operated(self._feedback.Rollback, request)

    async def reset(self, what: str, *, reason: str) -> int:
        """Have a part forgotten, "" for everything; return the version. Raises TiercelError."""
        request = feedback_pb2.ResetRequest(what=what, reason=reason)
        return await self._operated(self._feedback.Reset, request)

    async def history(self, limit: int) -> list[Change]:
        """Return the newest changes, newest first. Raises TiercelError."""
        request = feedback_pb2.GetHistoryRequest(limit=limit)
        with rpc.translated():
            response = await self._feedback.GetHistory(request, timeout=_TIMEOUT_S)
        return [change_from_pb(change) for change in response.changes]

    async def export(self) -> AsyncIterator[bytes]:
        """Yield all that is learned, in pieces. Raises TiercelError."""
        call = self._feedback.Export(feedback_pb2.ExportRequest(), metadata=self._metadata)
        with rpc.translated():
            async for piece in call:
                yield piece.data

    async def restore(self, data: bytes) -> int:
        """Have an export take the place of all that is learned; return the version.

        Raises InvalidRequest for what is none, TiercelError.
        """
        pieces = (data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES))
        requests = [feedback_pb2.ImportRequest(data=piece) for piece in pieces]
        with rpc.translated():
            response = await self._feedback.Import(iter(requests), metadata=self._metadata)
        return response.version

    async def _operated(self, method: Any, request: Any) -> int:
        with rpc.translated():
            response = await method(request, timeout=_TIMEOUT_S, metadata=self._metadata)
        return int(response.version)
