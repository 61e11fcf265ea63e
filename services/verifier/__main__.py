"""Runs the verifier: settings, wiring, serving."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.verifier.servicer import VerifierServicer
from services.verifier.settings import Settings
from tiercel.launch import launch
from tiercel.speculation import loading


@asynccontextmanager
async def opening(settings: Settings) -> AsyncIterator[VerifierServicer]:
    """Load the model."""
    source, habits = settings.source(), settings.habits()
    tier = await loading.load(settings.tier, source, habits, settings.basis())
    try:
        yield VerifierServicer(tier, max_request_s=settings.max_request_s)
    finally:
        await tier.close()


def main() -> None:
    """Serve one model tier until told to stop."""
    launch("tiercel-verifier", Settings, opening)


if __name__ == "__main__":
    main()
