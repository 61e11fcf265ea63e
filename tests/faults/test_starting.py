"""How a service starts: healthy before it is ready, and one line for what cannot be honoured."""

import socket
from contextlib import ExitStack

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.faults.services import PATIENCE_S, start, start_simulated
from tests.faults.slow_loading import slowly_loading_verifier
from tiercel import rpc
from tiercel.clients.tier import describe
from tiercel.errors import Unavailable
from tiercel.rpc.server import LIVENESS, READINESS

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def test_a_service_is_alive_and_not_ready_until_its_model_is_loaded():
    async with slowly_loading_verifier() as (address, load), rpc.channel(address) as channel:
        assert await health(channel, LIVENESS) == SERVING
        assert await health(channel, READINESS) == NOT_SERVING
        with pytest.raises(Unavailable):
            await describe(channel, timeout_s=PATIENCE_S)
        await load()
        assert await health(channel, READINESS) == SERVING
        assert (await describe(channel, timeout_s=PATIENCE_S)).tier == "slow"


async def health(channel: grpc.aio.Channel, name: str) -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    return (
        await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE_S)
    ).status


BAD = {
    "an unknown engine": {"engine": "abacus"},
    "an unknown model": {"model": "/no/such/model.gguf"},
    "a name of no model": {"model": "not a model"},
    "a setting of the simulated engine that is none": {"engine": "simulated", "model": "m?x=1"},
    "a number that is none": {"max_sessions": "many"},
    "a number out of range": {"max_sessions": "0"},
    "no name": {"tier": ""},
    "an address without a port": {"address": "localhost"},
    "a log level that is none": {"log_level": "loud"},
    "a metrics address without a port": {"metrics_address": "localhost"},
    "a dtype that the engine lacks": {"dtype": "int3"},
}


@pytest.mark.parametrize(
    ("service", "names"),
    [("verifier", BAD), ("drafter", ["an unknown engine", "an unknown model", "no name"])],
    ids=["verifier", "drafter"],
)
def test_what_cannot_be_honoured_ends_the_process_with_one_line(service, names):
    with ExitStack() as stack:
        # All at once: a start takes seconds, most of them waiting.
        started = {
            name: start(stack, service, **({"engine": "onnx"} | BAD[name])) for name in names
        }
        for name, process in started.items():
            check_refusal(name, *process.ended())


def test_a_busy_port_ends_the_process_with_one_line():
    with socket.socket() as busy, ExitStack() as stack:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        for process in [
            start_simulated(stack, "busy", "m", address=address),
            start(stack, "drafter", address=address),
        ]:
            check_refusal("a busy port", *process.ended())


def test_a_busy_metrics_port_ends_the_process_with_one_line():
    with socket.socket() as busy, ExitStack() as stack:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        process = start_simulated(stack, "busy", "m", metrics_address=address)
        check_refusal("a busy metrics port", *process.ended())


def check_refusal(name: str, status: int, errors: str) -> None:
    lines = errors.strip().splitlines()
    # gRPC itself writes lines of its own about a port, which begin with a letter and a date.
    own = [line for line in lines if not line.startswith(("E0", "E1", "I0", "I1", "W0", "W1"))]
    assert status != 0, name
    assert len(own) == 1, (name, errors)
    assert "Traceback" not in errors, name
