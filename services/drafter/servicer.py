"""A drafter over gRPC: unpack, delegate, pack."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Protocol, runtime_checkable

import grpc

from tiercel.descriptions import TierDescription
from tiercel.errors import Unsupported
from tiercel.rpc.deadlines import deadline_of
from tiercel.scores import ScoreAsk, Scores
from tiercel.speculation.draft_server import DraftServer
from tiercel.speculation.residence import Residence
from tiercel.tokenizer import Tokenizer
from tiercel.v1 import drafter_pb2 as pb
from tiercel.v1 import drafter_pb2_grpc as pb_grpc
from tiercel.v1 import tier_pb2, tier_pb2_grpc
from tiercel.wire.descriptions import description_to_pb, residency_to_pb
from tiercel.wire.scores import score_ask_from_pb, scores_to_pb
from tiercel.wire.tokenizers import files_to_pb


class DraftTier(Protocol):
    """A tier that drafts: with a model, or without one."""

    draft_server: DraftServer

    def describe(self) -> TierDescription:
        """Return what this replica is, and its load."""
        ...

    async def score(self, ask: ScoreAsk, deadline: float) -> Scores:
        """Score continuations until `deadline` (loop time)."""
        ...

    async def close(self) -> None:
        """Give everything back."""
        ...


@runtime_checkable
class Tokenized(Protocol):
    """A tier with a tokenizer to hand out."""

    tokenizer: Tokenizer


@runtime_checkable
class Residing(Protocol):
    """A tier with a model that can be given back."""

    residence: Residence


class DrafterServicer(pb_grpc.DrafterServicer, tier_pb2_grpc.TierServicer):
    """Serves one tier that drafts."""

    def __init__(self, tier: DraftTier, *, max_request_s: float) -> None:
        self._tier, self._max_request_s = tier, max_request_s

    def register(self, server: grpc.aio.Server) -> list[str]:
        """Add the handlers; return the names of the services."""
        pb_grpc.add_DrafterServicer_to_server(self, server)
        tier_pb2_grpc.add_TierServicer_to_server(self, server)
        modules = (pb, tier_pb2)
        return [name.full_name for m in modules for name in m.DESCRIPTOR.services_by_name.values()]

    async def drain(self) -> None:
        """Ask parents to go on without this tier."""
        self._tier.draft_server.leave("the tier is draining")

    async def Draft(
        self, request_iterator: AsyncIterator[pb.DraftRequest], context: Any
    ) -> AsyncIterator[pb.DraftResponse]:
        """Draft for a parent."""
        deadline = deadline_of(context, self._max_request_s)
        drafts = self._tier.draft_server.responses(request_iterator, deadline=deadline)
        async with aclosing(drafts) as responses:
            async for response in responses:
                yield response

    async def Describe(
        self, request: tier_pb2.DescribeRequest, context: Any
    ) -> tier_pb2.DescribeResponse:
        """Describe this replica."""
        return description_to_pb(self._tier.describe())

    async def SetResident(
        self, request: tier_pb2.SetResidentRequest, context: Any
    ) -> tier_pb2.SetResidentResponse:
        """Load the model, or give its memory back."""
        if not isinstance(self._tier, Residing):
            raise Unsupported(f"{self._tier.describe().tier} has no model that could be given back")
        return residency_to_pb(await self._tier.residence.set(resident=request.resident))

    async def Score(self, request: tier_pb2.ScoreRequest, context: Any) -> tier_pb2.ScoreResponse:
        """Say what the tier would have drafted in texts that are given."""
        deadline = deadline_of(context, self._max_request_s)
        return scores_to_pb(await self._tier.score(score_ask_from_pb(request), deadline))

    async def GetTokenizer(
        self, request: tier_pb2.GetTokenizerRequest, context: Any
    ) -> AsyncIterator[tier_pb2.GetTokenizerResponse]:
        """Hand out the tokenizer."""
        if not isinstance(self._tier, Tokenized):
            raise Unsupported(f"{self._tier.describe().tier} has no tokenizer of its own")
        files = await asyncio.to_thread(self._tier.tokenizer.files)
        for piece in files_to_pb(files):
            yield piece
