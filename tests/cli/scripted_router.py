"""A router on a real socket whose answers are scripted; it keeps the requests that it got."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from tiercel.errors import TiercelError
from tiercel.rpc.status import status_from_error
from tiercel.v1 import decoding_pb2, router_pb2, router_pb2_grpc, tier_pb2

CHAIN = decoding_pb2.Plan(
    tier="target",
    address="localhost:1",
    drafters=[decoding_pb2.Plan(tier="draft", address="localhost:2")],
)
# (tier, text): one token each; the character comes whole with its second token.
TOKENS = [("target", "The "), ("draft", "sk"), ("draft", ""), ("target", "y é"), ("draft", "!\n")]


CANDIDATES = [
    router_pb2.Candidate(plan_name="chain", predicted_s=1.25, probability=0.75),
    router_pb2.Candidate(
        plan_name="dear",
        predicted_quality=0.9,
        quality_bound=0.8,
        predicted_cost=9.0,
        refused="over budget",
    ),
]


class ScriptedRouter(router_pb2_grpc.RouterServicer):
    """Answers everything with TOKENS, or with what a test sets."""

    def __init__(self) -> None:
        self.requests: list = []
        self.tokens = {"": TOKENS}  # by plan name
        self.error: TiercelError | None = None
        self.error_after = 0
        self.address = ""
        self.engine = "onnx"

    def Generate(self, request, context):
        self.requests.append(request)
        if self.error and not self.error_after:
            context.abort_with_status(status_from_error(self.error))
        yield router_pb2.GenerateResponse(decision=self._decision(request.objective))
        tokens = self.tokens.get(request.objective.plan_name, self.tokens[""])
        tokens = tokens[: request.stop.max_new_tokens]
        for position, (tier, text) in enumerate(tokens):
            if self.error and position == self.error_after:
                context.abort_with_status(status_from_error(self.error))
            yield router_pb2.GenerateResponse(committed=_committed(position, tier, text))
        if request.objective.delivery == router_pb2.DELIVERY_REVISE:
            revise = router_pb2.Revise(from_position=1, text_length=len(tokens[0][1]))
            yield router_pb2.GenerateResponse(revise=revise)
            tier, text = "target", "other."
            yield router_pb2.GenerateResponse(committed=_committed(1, tier, text))
        yield router_pb2.GenerateResponse(finished=_finished(request, len(tokens)))

    def Route(self, request, context):
        self.requests.append(request)
        return router_pb2.RouteResponse(decision=self._decision(request.objective))

    def ListTiers(self, request, context):
        described = router_pb2.Replica(
            tier="target", address="localhost:1", state=router_pb2.REPLICA_STATE_READY
        )
        described.description.tier = "target"
        described.description.model = "tiny"
        described.description.engine = self.engine
        described.description.residency = tier_pb2.RESIDENCY_AWAY
        described.description.memory_bytes = 1_340_000_000
        lost = router_pb2.Replica(
            tier="draft",
            address="localhost:2",
            state=router_pb2.REPLICA_STATE_UNREACHABLE,
            problem="does not answer",
        )
        plans = [
            router_pb2.NamedPlan(name="chain", plan=CHAIN, is_default=True),
            router_pb2.NamedPlan(name="alone", plan=decoding_pb2.Plan(tier="target")),
        ]
        return router_pb2.ListTiersResponse(replicas=[described, lost], plans=plans)

    def _decision(self, objective):
        return router_pb2.Decision(
            decision_id="d1",
            plan=objective.plan if objective.HasField("plan") else CHAIN,
            plan_name=objective.plan_name,
            policy="static",
            propensity=1.0,
            reason="the caller named it",
            candidates=CANDIDATES,
            forced="the caller named the plan",
            insufficient_evidence=True,
        )


def _committed(position, tier, text):
    return decoding_pb2.Committed(
        position=position,
        token_ids=[100 + position],
        text=text,
        text_lengths=[len(text)],
        spans=[decoding_pb2.Span(tier=tier, num_tokens=1)],
        logprobs=[decoding_pb2.TokenLogprob(token_id=100 + position, logprob=-0.5)],
    )


def _finished(request, number):
    usage = decoding_pb2.Usage(
        num_prompt_tokens=4,
        num_completion_tokens=number,
        pairs=[
            decoding_pb2.PairStats(
                drafter="draft",
                verifier="target",
                num_drafts=2,
                num_draft_tokens=6,
                num_accepted_tokens=3,
                num_rejected_tokens=1,
            )
        ],
        tiers=[decoding_pb2.TierStats(tier="target", num_forward_passes=3)],
        total_ns=500_000_000,
        time_to_first_token_ns=100_000_000,
    )
    return router_pb2.GenerateFinished(
        finished=decoding_pb2.Finished(reason=decoding_pb2.FINISH_REASON_LENGTH, usage=usage),
        seed=request.sampling.seed if request.sampling.HasField("seed") else 4711,
        exactness=router_pb2.EXACTNESS_HELD,
    )


@contextmanager
def scripted_router() -> Iterator[ScriptedRouter]:
    """Serve until the context ends."""
    router = ScriptedRouter()
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    router_pb2_grpc.add_RouterServicer_to_server(router, server)
    router.address = f"localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    try:
        yield router
    finally:
        server.stop(None).wait()
