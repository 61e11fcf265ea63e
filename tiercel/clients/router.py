"""The router's client: what backend services, and the command line, call Tiercel with."""

from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

import grpc
from grpc_status import rpc_status

from tiercel import rpc
from tiercel.errors import TiercelError, Unavailable
from tiercel.plan_text import Outline
from tiercel.replies import Committed, Decision, Finished, Overview, Revise
from tiercel.routing.policy import Wishes
from tiercel.sessions import Delivery
from tiercel.types import Acceptance, Constraint, SamplingParams, StopConditions
from tiercel.v1 import decoding_pb2, router_pb2, router_pb2_grpc
from tiercel.wire.constraints import constraint_to_pb
from tiercel.wire.outlines import outline_to_pb
from tiercel.wire.plans import acceptance_to_pb
from tiercel.wire.replies import (
    committed_from_pb,
    decision_from_pb,
    finished_from_pb,
    overview_from_pb,
    revise_from_pb,
)
from tiercel.wire.requests import Prompt, prompt_to_pb, sampling_to_pb, stop_to_pb

T = TypeVar("T")

Event = Decision | Committed | Finished | Revise

_DELIVERIES = {
    Delivery.STREAM: router_pb2.DELIVERY_STREAM,
    Delivery.HOLD: router_pb2.DELIVERY_HOLD,
    Delivery.REVISE: router_pb2.DELIVERY_REVISE,
}


@dataclass(frozen=True)
class Request:
    """What to answer and how.

    `plan` is written out, or the name of one; without it the router's policy chooses, or the
    `policy` that is named. `acceptance` is the rule for the root of whatever plan that gives, None
    the plan's own. `seeded` False leaves the seed to the router. `session_id` is the same for all
    turns of a conversation.
    """

    prompt: Prompt
    sampling: SamplingParams = field(default_factory=SamplingParams)
    seeded: bool = True
    stop: StopConditions = field(default_factory=StopConditions)
    ignore_eos: bool = False
    plan: Outline | str | None = None
    policy: str = ""
    acceptance: Acceptance | None = None
    kind: str = ""
    request_id: str = ""
    logprobs: bool = False
    num_top_logprobs: int = 0
    constraint: Constraint | None = None
    wishes: Wishes = field(default_factory=Wishes)
    delivery: Delivery = Delivery.STREAM
    session_id: str = ""


class RouterClient:
    """A connection to the router at `address`; each call gets `timeout_s` seconds."""

    def __init__(self, address: str, *, timeout_s: float = 300.0) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._channel = rpc.channel(address)
        self._router = router_pb2_grpc.RouterStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._channel.close()

    async def generate(self, request: Request) -> AsyncIterator[Event]:
        """Yield one Decision, then Committed tokens as they come, then one Finished.

        Under Delivery.REVISE a Revise may take tokens back.

        Raises TiercelError; leaving early cancels the call.
        """
        call = self._router.Generate(_generate_to_pb(request), timeout=self._timeout_s)
        answering = False
        try:
            while True:
                try:
                    message = await call.read()
                except grpc.aio.AioRpcError as failure:
                    raise self._error(failure, answering=answering) from failure
                if not isinstance(message, router_pb2.GenerateResponse):
                    return
                answering = True
                yield _event_from_pb(message)
        finally:
            call.cancel()

    async def route(self, request: Request) -> Decision:
        """Return how the request would be routed; raises TiercelError."""
        message = router_pb2.RouteRequest(
            prompt=prompt_to_pb(request.prompt),
            sampling=_sampling_to_pb(request),
            stop=stop_to_pb(request.stop, ignore_eos=request.ignore_eos),
            objective=_objective_to_pb(request),
            kind=request.kind,
            session_id=request.session_id,
        )
        answer = await self._unary(self._router.Route(message, timeout=self._timeout_s))
        return decision_from_pb(answer.decision)

    async def tiers(self) -> Overview:
        """Return every replica's state and the plans; raises TiercelError."""
        request = router_pb2.ListTiersRequest()
        return overview_from_pb(
            await self._unary(self._router.ListTiers(request, timeout=self._timeout_s))
        )

    async def _unary(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except grpc.aio.AioRpcError as failure:
            raise self._error(failure, answering=False) from failure

    def _error(self, failure: grpc.aio.AioRpcError, *, answering: bool) -> TiercelError:
        if failure.code() is not grpc.StatusCode.UNAVAILABLE or _came_from_a_peer(failure):
            return rpc.error_from_rpc(failure)
        what = "went away in mid-answer" if answering else "does not answer"
        return Unavailable(f"the router at {self._address} {what}")


def _came_from_a_peer(failure: grpc.aio.AioRpcError) -> bool:
    return rpc_status.from_call(failure) is not None  # type: ignore[arg-type]


def _generate_to_pb(request: Request) -> router_pb2.GenerateRequest:
    return router_pb2.GenerateRequest(
        request_id=request.request_id,
        prompt=prompt_to_pb(request.prompt),
        sampling=_sampling_to_pb(request),
        stop=stop_to_pb(request.stop, ignore_eos=request.ignore_eos),
        objective=_objective_to_pb(request),
        logprobs=request.logprobs,
        num_top_logprobs=request.num_top_logprobs,
        kind=request.kind,
        constraint=constraint_to_pb(request.constraint),
        session_id=request.session_id,
    )


def _sampling_to_pb(request: Request) -> decoding_pb2.SamplingParams:
    message = sampling_to_pb(request.sampling)
    if not request.seeded:
        message.ClearField("seed")
    return message


def _objective_to_pb(request: Request) -> router_pb2.Objective:
    asked = acceptance_to_pb(request.acceptance) if request.acceptance else None
    objective = router_pb2.Objective(
        acceptance=asked, delivery=_DELIVERIES[request.delivery], **vars(request.wishes)
    )
    if isinstance(request.plan, Outline):
        objective.plan.CopyFrom(outline_to_pb(request.plan))
    elif request.plan:
        objective.plan_name = request.plan
    elif request.policy:
        objective.policy = request.policy
    return objective


def _event_from_pb(message: router_pb2.GenerateResponse) -> Event:
    which = message.WhichOneof("message")
    if which == "decision":
        return decision_from_pb(message.decision)
    if which == "committed":
        return committed_from_pb(message.committed)
    if which == "revise":
        return revise_from_pb(message.revise)
    return finished_from_pb(message.finished)
