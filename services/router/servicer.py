"""The router's gRPC surface: unpack, delegate, pack."""

import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from services.router.routing import Router
from tiercel.rpc.deadlines import deadline_of
from tiercel.v1 import router_pb2 as pb
from tiercel.v1 import router_pb2_grpc
from tiercel.wire.router import (
    ask_from_pb,
    decision_to_pb,
    kind_from_pb,
    objective_from_pb,
    overview_to_pb,
    reply_to_pb,
    session_id_from_pb,
)

_SEED_BITS = 64


class RouterServicer(router_pb2_grpc.RouterServicer):
    """Serves a Router. A request without a deadline, or with a longer one, gets `max_request_s`."""

    def __init__(self, router: Router, *, max_request_s: float) -> None:
        self._router = router
        self._max_request_s = max_request_s

    def register(self, server: grpc.aio.Server) -> list[str]:
        """Add the handlers."""
        router_pb2_grpc.add_RouterServicer_to_server(self, server)
        return [pb.DESCRIPTOR.services_by_name["Router"].full_name]

    async def drain(self) -> None:
        """Answers that are open finish within the server's grace."""

    async def Generate(
        self, request: pb.GenerateRequest, context: Any
    ) -> AsyncIterator[pb.GenerateResponse]:
        """Answer a prompt."""
        replies = self._router.generate(
            ask_from_pb(request, draw_seed=_draw_seed),
            objective_from_pb(request.objective),
            kind=kind_from_pb(request.kind),
            deadline=deadline_of(context, self._max_request_s),
            session_id=session_id_from_pb(request.session_id),
        )
        async with aclosing(replies) as stream:
            async for reply in stream:
                yield reply_to_pb(reply)

    async def Route(self, request: pb.RouteRequest, context: Any) -> pb.RouteResponse:
        """Say how a prompt would be routed."""
        decision = await self._router.route(
            ask_from_pb(request, draw_seed=_draw_seed),
            objective_from_pb(request.objective),
            kind=kind_from_pb(request.kind),
            session_id=session_id_from_pb(request.session_id),
        )
        return pb.RouteResponse(decision=decision_to_pb(decision))

    async def ListTiers(self, request: pb.ListTiersRequest, context: Any) -> pb.ListTiersResponse:
        """List tiers, replicas and plans."""
        return overview_to_pb(self._router.overview())


def _draw_seed() -> int:
    return secrets.randbits(_SEED_BITS)
