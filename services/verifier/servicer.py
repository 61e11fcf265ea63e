"""A verifier over gRPC: unpack, delegate, pack."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from services.verifier.sessions import Sessions
from tiercel.rpc.deadlines import deadline_of
from tiercel.speculation.model_tier import ModelTier
from tiercel.v1 import drafter_pb2, drafter_pb2_grpc, tier_pb2, tier_pb2_grpc
from tiercel.v1 import verifier_pb2 as pb
from tiercel.v1 import verifier_pb2_grpc as pb_grpc
from tiercel.wire.descriptions import description_to_pb, residency_to_pb
from tiercel.wire.scores import score_ask_from_pb, scores_to_pb
from tiercel.wire.tokenizers import files_to_pb


class VerifierServicer(
    pb_grpc.VerifierServicer, drafter_pb2_grpc.DrafterServicer, tier_pb2_grpc.TierServicer
):
    """Serves one model tier: it answers, verifies and drafts."""

    def __init__(self, tier: ModelTier, *, max_request_s: float) -> None:
        self._tier, self._max_request_s = tier, max_request_s
        self._sessions = Sessions(tier)

    def register(self, server: grpc.aio.Server) -> list[str]:
        """Add the handlers; return the names of the services."""
        pb_grpc.add_VerifierServicer_to_server(self, server)
        drafter_pb2_grpc.add_DrafterServicer_to_server(self, server)
        tier_pb2_grpc.add_TierServicer_to_server(self, server)
        modules = (pb, drafter_pb2, tier_pb2)
        return [name.full_name for m in modules for name in m.DESCRIPTOR.services_by_name.values()]

    async def drain(self) -> None:
        """Ask the parents of draft streams to go on without this tier."""
        self._tier.draft_server.leave("the tier is draining")

    async def Generate(
        self, request_iterator: AsyncIterator[pb.VerifierGenerateRequest], context: Any
    ) -> AsyncIterator[pb.VerifierGenerateResponse]:
        """Answer a prompt."""
        deadline = deadline_of(context, self._max_request_s)
        async with aclosing(self._sessions.generate(request_iterator, deadline)) as responses:
            async for response in responses:
                yield response

    async def Verify(
        self, request_iterator: AsyncIterator[pb.VerifyRequest], context: Any
    ) -> AsyncIterator[pb.VerifyResponse]:
        """Verify blocks from a drafter elsewhere."""
        deadline = deadline_of(context, self._max_request_s)
        async with aclosing(self._sessions.verify(request_iterator, deadline)) as responses:
            async for response in responses:
                yield response

    async def Draft(
        self, request_iterator: AsyncIterator[drafter_pb2.DraftRequest], context: Any
    ) -> AsyncIterator[drafter_pb2.DraftResponse]:
        """Draft for a larger tier."""
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
        return residency_to_pb(await self._tier.residence.set(resident=request.resident))

    async def Score(self, request: tier_pb2.ScoreRequest, context: Any) -> tier_pb2.ScoreResponse:
        """Score texts that are given."""
        deadline = deadline_of(context, self._max_request_s)
        return scores_to_pb(await self._tier.score(score_ask_from_pb(request), deadline))

    async def GetTokenizer(
        self, request: tier_pb2.GetTokenizerRequest, context: Any
    ) -> AsyncIterator[tier_pb2.GetTokenizerResponse]:
        """Hand out the tokenizer."""
        files = await asyncio.to_thread(self._tier.tokenizer.files)
        for piece in files_to_pb(files):
            yield piece
