"""Runs the drafter: settings, wiring, serving."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from services.drafter.distilled_tier import DistilledTier
from services.drafter.servicer import DrafterServicer, DraftTier
from services.drafter.settings import Settings
from services.drafter.suffix_tier import SuffixTier
from tiercel.engines.distilled import DistilledModel
from tiercel.launch import launch
from tiercel.speculation import loading
from tiercel.speculation.lookup import Basis


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
        source, habits = settings.source(), settings.habits()
        return await loading.load(settings.tier, source, habits, settings.basis())
    return SuffixTier(
        settings.tier,
        replace(settings.basis(), max_length=settings.max_length or Basis.max_length),
        max_sessions=settings.max_sessions,
        heartbeat_s=settings.heartbeat_s,
    )


async def _distilled(settings: Settings) -> DistilledTier:
    model = await asyncio.to_thread(DistilledModel, settings.model, threads=settings.threads or 1)
    return DistilledTier(
        settings.tier, model, max_sessions=settings.max_sessions, heartbeat_s=settings.heartbeat_s
    )


def main() -> None:
    """Serve one drafting tier until told to stop."""
    launch("tiercel-drafter", Settings, opening)


if __name__ == "__main__":
    main()
