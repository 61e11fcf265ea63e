"""From which model a tier is, to the tier: loaded off the event loop."""

import asyncio
import time
from dataclasses import dataclass

from tiercel import engines
from tiercel.engines.language_model import LanguageModel
from tiercel.speculation.lookup import Basis
from tiercel.speculation.model_tier import Habits, ModelTier
from tiercel.speculation.residence import process_bytes
from tiercel.speculation.runner import ModelRunner


@dataclass(frozen=True)
class ModelSource:
    """Which model to load, and how to run it; empty or 0 leaves it to the engine."""

    engine: str
    model: str
    dtype: str = ""
    device: str = "auto"
    threads: int = 0
    max_length: int = 0
    prefix_cache_tokens: int = 0
    cache_tokens: int = 0
    tensor_parallel: int = 1


async def load(name: str, source: ModelSource, habits: Habits, basis: Basis) -> ModelTier:
    """Load a model off the event loop and return its tier; raises ModelUnavailable."""
    began, before = time.monotonic(), process_bytes()
    loaded, tokenizer = await _loaded(source)
    runner = ModelRunner(loaded, prefix_cache_tokens=source.prefix_cache_tokens)

    async def again() -> LanguageModel:
        return (await _loaded(source))[0]

    tier = ModelTier(name, runner, tokenizer, habits, basis, loader=again)
    tier.residence.load_s = time.monotonic() - began
    tier.residence.memory_bytes = max(0, process_bytes() - before)
    return tier


async def _loaded(source: ModelSource) -> engines.Loaded:
    return await asyncio.to_thread(
        engines.load,
        source.engine,
        source.model,
        dtype=source.dtype or None,
        device=source.device,
        threads=source.threads,
        max_length=source.max_length or None,
        cache_tokens=source.cache_tokens or None,
        tensor_parallel=source.tensor_parallel,
    )
