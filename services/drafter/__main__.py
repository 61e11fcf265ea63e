"""Runs the drafter: settings, wiring, serving."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.drafter.distilled_tier import DistilledTier
from services.drafter.servicer import DrafterServicer, DraftTier
from services.drafter.settings import Settings
from services.drafter.suffix_tier import Evidence, SuffixTier
from tiercel.drafters import table_path
from tiercel.engines.distilled import DistilledModel
from tiercel.engines.ngram import NgramTable
from tiercel.launch import launch
from tiercel.speculation import model_tier

# Of a sequence that a suffix tier follows, unless a setting says otherwise.
_MAX_LENGTH = 32_768


@asynccontextmanager
async def opening(settings: Settings) -> AsyncIterator[DrafterServicer]:
    """Load the model, if the engine wants one."""
    tier = await _tier(settings)
    try:
        yield DrafterServicer(tier, max_request_s=settings.max_request_s)
    finally:
        await tier.close()


async def _tier(settings: Settings) -> DraftTier:
    if settings.engine == "distilled":
        return await _distilled(settings)
    if settings.engine != "suffix":
        return await model_tier.load(settings.tier, settings.source(), settings.habits())
    return SuffixTier(
        settings.tier,
        _evidence(settings),
        max_sessions=settings.max_sessions,
        heartbeat_s=settings.heartbeat_s,
    )


async def _distilled(settings: Settings) -> DistilledTier:
    model = await asyncio.to_thread(DistilledModel, settings.model, threads=settings.threads or 1)
    return DistilledTier(
        settings.tier, model, max_sessions=settings.max_sessions, heartbeat_s=settings.heartbeat_s
    )


def _evidence(settings: Settings) -> Evidence:
    return Evidence(
        min_confidence=settings.min_confidence,
        pool_tokens=settings.pool_tokens,
        max_length=settings.max_length or _MAX_LENGTH,
        table=NgramTable(table_path(settings.ngram)) if settings.ngram else None,
    )


def main() -> None:
    """Serve one drafting tier until told to stop."""
    launch("tiercel-drafter", Settings, opening)


if __name__ == "__main__":
    main()
