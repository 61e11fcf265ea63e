"""The services under test: those at the addresses given, or our own, started for each test."""

from collections.abc import AsyncIterator

import pytest

from services.drafter import __main__ as drafter_service
from services.drafter.settings import Settings as DrafterSettings
from services.verifier import __main__ as verifier_service
from services.verifier.settings import Settings as VerifierSettings
from tests.conformance.streams import Tier, tier_at
from tests.tiny_model import tiny_gguf
from tiercel import rpc
from tiercel.rpc import deadlines

COMMON = {"_cli_parse_args": [], "heartbeat_s": 0.5, "max_sessions": 4}


@pytest.fixture(scope="session")
def tiny_model_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_gguf(tmp_path_factory.mktemp("conformance")))


@pytest.fixture(params=["suffix", "onnx"])
async def drafter(request, tiny_model_file, monkeypatch, tmp_path_factory) -> AsyncIterator[Tier]:
    """The drafter under test; our own is tested with and without a model."""
    monkeypatch.setenv("TIERCEL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    if address := request.config.getoption("--drafter"):
        if request.param != "suffix":
            pytest.skip("one drafter is given, and tested once")
        async with tier_at(address) as tier:
            yield tier
        return
    settings = DrafterSettings(tier="draft", engine=request.param, model=tiny_model_file, **COMMON)
    async with (
        rpc.server(drafter_service.opening(settings), "localhost:0") as port,
        tier_at(f"localhost:{port}") as tier,
    ):
        yield tier


@pytest.fixture
async def verifier(request, tiny_model_file, monkeypatch, tmp_path_factory) -> AsyncIterator[Tier]:
    monkeypatch.setenv("TIERCEL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    if address := request.config.getoption("--verifier"):
        async with tier_at(address) as tier:
            yield tier
        return
    # A busy machine may take longer to send the end than a server usually leaves itself.
    monkeypatch.setattr(deadlines, "_MARGIN_S", 1.5)
    settings = VerifierSettings(tier="target", model=tiny_model_file, **COMMON)
    async with (
        rpc.server(verifier_service.opening(settings), "localhost:0") as port,
        tier_at(f"localhost:{port}") as tier,
    ):
        yield tier
