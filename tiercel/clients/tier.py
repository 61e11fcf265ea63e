"""What a replica of a tier says: whether it is ready, what it is, what it makes of texts."""

from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tiercel.descriptions import Residency, TierDescription
from tiercel.rpc import translated
from tiercel.rpc.server import READINESS
from tiercel.scores import ScoreAsk, Scores
from tiercel.v1 import tier_pb2
from tiercel.v1.tier_pb2_grpc import TierStub
from tiercel.wire.descriptions import description_from_pb, residency_from_pb
from tiercel.wire.scores import score_ask_to_pb, scores_from_pb
from tiercel.wire.tokenizers import FileCollector


async def is_ready(channel: grpc.aio.Channel, *, timeout_s: float) -> bool:
    """Return whether the replica takes work; raises the domain error if it does not answer."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    with translated():
        answer = await stub.Check(
            health_pb2.HealthCheckRequest(service=READINESS), timeout=timeout_s
        )
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def describe(channel: grpc.aio.Channel, *, timeout_s: float) -> TierDescription:
    """Return the replica's description; raises the domain error if it gives none."""
    with translated():
        answer = await TierStub(channel).Describe(tier_pb2.DescribeRequest(), timeout=timeout_s)
    return description_from_pb(answer)


async def score(channel: grpc.aio.Channel, ask: ScoreAsk, *, timeout_s: float) -> Scores:
    """Return what the replica makes of given texts; raises the domain error if it refuses."""
    with translated():
        answer = await TierStub(channel).Score(score_ask_to_pb(ask), timeout=timeout_s)
    return scores_from_pb(answer)


async def set_resident(channel: grpc.aio.Channel, *, resident: bool, timeout_s: float) -> Residency:
    """Have the replica's model loaded or given back; return its state then.

    Raises the domain error if it refuses, DeadlineExceeded while sessions hold the model.
    """
    request = tier_pb2.SetResidentRequest(resident=resident)
    with translated():
        answer = await TierStub(channel).SetResident(request, timeout=timeout_s)
    return residency_from_pb(answer.residency)


async def tokenizer_files(channel: grpc.aio.Channel, *, timeout_s: float) -> dict[str, bytes]:
    """Return the files of the replica's tokenizer; raises the domain error if it has none."""
    collector = FileCollector()
    with translated():
        call = TierStub(channel).GetTokenizer(tier_pb2.GetTokenizerRequest(), timeout=timeout_s)
        async for piece in call:
            collector.take(piece)
    return collector.files
