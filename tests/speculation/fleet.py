"""Tiers for tests: real services on real sockets in this process, their models loaded once."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from services.drafter.servicer import DrafterServicer
from services.drafter.suffix_tier import SuffixTier
from services.verifier.servicer import VerifierServicer
from tests.tiny_model import tiny_gguf
from tiercel import engines, rpc
from tiercel.engines.language_model import Cache, LanguageModel, Logits, Step
from tiercel.speculation.decoder import Decoder
from tiercel.speculation.lookup import BARE, Basis
from tiercel.speculation.model_tier import Habits, ModelTier
from tiercel.speculation.residence import Loader
from tiercel.speculation.runner import ModelRunner
from tiercel.tokenizer import Tokenizer
from tiercel.types import ModelDescription, Plan

SMOLLM2 = "smollm2-135m"
HEARTBEAT_S = 2.0


@dataclass(frozen=True)
class Weights:
    """Which weights a tier has: the tiny model of a seed, or a real model by name."""

    dtype: str = "fp32"
    seed: int = 0
    noise: float = 0.0
    model: str = ""  # empty: the tiny one
    engine: str = "onnx"
    max_length: int | None = None
    tokenizer: str = "usual"  # of the tiny model
    engine: str = "onnx"


class BorrowedModel:
    """A model that outlives the tier that closes it."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    @property
    def description(self) -> ModelDescription:
        return self._model.description

    def open(self, prefix: Cache | None = None, length: int = 0) -> Cache:
        return self._model.open(prefix, length)

    def extend(self, steps: list[Step]) -> list[Logits]:
        return self._model.extend(steps)

    def close(self) -> None:
        pass


class PatientTier(ModelTier):
    """A tier that waits, after its first pass, until its drafters answered or are lost.

    A tiny model has said all it has to say before a busy machine has opened a stream.
    """

    @asynccontextmanager
    async def decoder(self, prefix, plan, request, on_lost) -> AsyncIterator[Decoder]:
        lost = asyncio.Event()

        def note(*what) -> None:
            lost.set()
            on_lost(*what)

        async with super().decoder(prefix, plan, request, note) as decoder:
            verify, num_passes = decoder.session.verify, itertools.count()

            async def patient(*arguments):
                if next(num_passes) > 0:
                    while not lost.is_set() and not all(link.is_open for link in decoder._links):
                        await asyncio.sleep(0.001)
                return await verify(*arguments)

            decoder.session.verify = patient
            yield decoder


class Models:
    """Loads each model once for each name of a tier: two tiers never share a model."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[tuple[str, Weights], engines.Loaded] = {}

    def load(self, name: str, weights: Weights) -> tuple[LanguageModel, Tokenizer]:
        key = (name, weights)
        if key not in self._loaded:
            self._loaded[key] = self._load(weights)
        model, tokenizer = self._loaded[key]
        return BorrowedModel(model), tokenizer

    def close(self) -> None:
        for model, _ in self._loaded.values():
            model.close()

    def _load(self, weights: Weights) -> engines.Loaded:
        options = {"dtype": weights.dtype, "max_length": weights.max_length}
        if weights.model:
            return engines.load(weights.engine, weights.model, **options)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TIERCEL_CACHE", str(self._folder / "cache"))
            file = tiny_gguf(
                self._folder, weights.seed, noise=weights.noise, tokenizer=weights.tokenizer
            )
            return engines.load(weights.engine, str(file), threads=1, **options)


@dataclass
class Replica:
    """One running server of a tier; `stop` and `start` keep its port."""

    name: str
    build: Callable[[], tuple[object, rpc.Service]]  # the tier and its service
    tier: object = None
    port: int = 0
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    @property
    def num_sessions(self) -> int:
        return self.tier.describe().num_sessions

    def plan(self, *drafters: Plan, **fields) -> Plan:
        return Plan(self.name, self.address, drafters, **fields)

    async def start(self) -> None:
        self.tier, service = self.build()
        opening = _opened(self.tier, service)
        server = rpc.server(opening, f"localhost:{self.port}")
        self.port = await self._running.enter_async_context(server)

    async def stop(self) -> None:
        await self._running.aclose()


@asynccontextmanager
async def _opened(tier, service: rpc.Service) -> AsyncIterator[rpc.Service]:
    try:
        yield service
    finally:
        await tier.close()


class Fleet:
    """The tiers of one test; all of them stop with it."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._replicas: list[Replica] = []
        self._channels = rpc.Channels()

    def channel(self, replica: Replica) -> grpc.aio.Channel:
        return self._channels.to(replica.address)

    async def model(
        self,
        name: str,
        weights: Weights = Weights(),
        *,
        tier_class: Callable[..., ModelTier] = PatientTier,
        prefix_cache_tokens: int = 2000,
        basis: Basis = BARE,
        loader: Loader | None = None,
        **habits,
    ) -> Replica:
        """Start a verifier. It goes on asking drafters that do not pay, unless told otherwise."""
        model, tokenizer = self._models.load(name, weights)
        chosen = Habits(**{"always_draft": True, "heartbeat_s": HEARTBEAT_S} | habits)

        def build() -> tuple[ModelTier, VerifierServicer]:
            runner = ModelRunner(model, prefix_cache_tokens=prefix_cache_tokens)
            tier = tier_class(name, runner, tokenizer, chosen, basis, loader=loader)
            return tier, VerifierServicer(tier, max_request_s=150.0)

        return await self.start(name, build)

    async def suffix(self, name: str = "suffix", *, min_confidence: float = 0.2) -> Replica:
        """Start a drafter without a model."""

        def build() -> tuple[SuffixTier, DrafterServicer]:
            basis = Basis(min_confidence, pool_tokens=10_000, max_length=32_768)
            tier = SuffixTier(name, basis, max_sessions=16, heartbeat_s=HEARTBEAT_S)
            return tier, DrafterServicer(tier, max_request_s=150.0)

        return await self.start(name, build)

    async def start(self, name: str, build: Callable[[], tuple[object, rpc.Service]]) -> Replica:
        """Start any service; its tier needs `close`, and `describe` to be asked for sessions."""
        replica = Replica(name, build)
        await replica.start()
        self._replicas.append(replica)
        return replica

    async def close(self) -> None:
        await self._channels.close()
        for replica in reversed(self._replicas):
            await replica.stop()
