"""Runs a verifier: settings, wiring, serving."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.verifier.servicer import VerifierServicer
from services.verifier.settings import Settings
from tiercel import config, rpc, telemetry
from tiercel.errors import TiercelError
from tiercel.speculation import model_tier


@asynccontextmanager
async def opening(settings: Settings) -> AsyncIterator[VerifierServicer]:
    """Load the model."""
    tier = await model_tier.load(settings.tier, settings.source(), settings.habits())
    try:
        yield VerifierServicer(tier, max_request_s=settings.max_request_s)
    finally:
        await tier.close()


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
        sys.exit(f"verifier: {error}")


if __name__ == "__main__":
    main()
