"""Asks a service whether it takes calls, over gRPC health."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tiercel import rpc


async def is_ready(address: str, *, timeout_s: float = 1.0) -> bool:
    """Return whether the service at `address` says that it is ready; False if it does not answer."""
    async with rpc.channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="readiness")
        try:
            answer = await health.Check(request, timeout=timeout_s)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
