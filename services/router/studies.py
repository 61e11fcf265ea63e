"""Which studies this router makes of its answers, as its settings say."""

from services.router.draft_scoring import draft_scoring
from services.router.fleet import Fleet
from services.router.learned import Advice
from services.router.off_path import Study
from services.router.settings import Settings
from tiercel.tiers import Configuration


def studies(
    settings: Settings, configuration: Configuration, fleet: Fleet, advice: Advice
) -> tuple[Study, ...]:
    """Return the studies that are switched on."""
    found: list[Study] = []
    found += draft_scoring(configuration, fleet, advice, share=settings.score_share)
    return tuple(found)
