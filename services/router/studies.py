"""Which studies this router makes of its answers, as its settings say."""

from services.router.fleet import Fleet
from services.router.learned import Advice
from services.router.off_path import Study
from services.router.settings import Settings


def studies(settings: Settings, fleet: Fleet, advice: Advice) -> tuple[Study, ...]:
    """Return the studies that are switched on."""
    found: list[Study] = []
    return tuple(found)
