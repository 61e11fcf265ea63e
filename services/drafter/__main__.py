"""Runs a drafter: settings, wiring, serving."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.drafter.servicer import DrafterServicer, DraftTier
from services.drafter.settings import Settings
from services.drafter.suffix_tier import Evidence, SuffixTier
from tiercel import config, rpc, telemetry
from tiercel.errors import TiercelError
from tiercel.speculation import model_tier


@asynccontextmanager
async def opening(settings: Settings) -> AsyncIterator[DrafterServicer]:
    """Load the model, if the engine wants one."""
    tier = await _tier(settings)
    try:
        yield DrafterServicer(tier, max_request_s=settings.max_request_s)
    finally:
        await tier.close()


async def _tier(settings: Settings) -> DraftTier:
    if settings.engine != "suffix":
        return await model_tier.load(settings.tier, settings.source(), settings.habits())
    return SuffixTier(
        settings.tier,
        Evidence(settings.min_confidence, settings.pool_tokens),
        max_sessions=settings.max_sessions,
        heartbeat_s=settings.heartbeat_s,
    )


def main() -> None:
    """Serve until told to stop; a setting that cannot be honoured ends the process with a line."""
    settings = config.load(Settings)
    telemetry.configure(level=settings.log_level, json=settings.log_json)
    telemetry.serve_metrics(settings.metrics_address)
    service = rpc.serve(
        opening(settings),
        settings.address,
        grace_s=settings.grace_s,
        reflect=settings.reflection,
    )
    try:
        asyncio.run(service)
    except (TiercelError, OSError) as error:
        sys.exit(f"drafter: {error}")


if __name__ == "__main__":
    main()
