"""Which studies this router makes of its answers, as its settings say."""

from services.router.fleet import Fleet
from services.router.learning.learned import Advice
from services.router.settings import Settings
from services.router.studies.audits import Audits, AuditShares
from services.router.studies.draft_scoring import draft_scoring
from services.router.studies.harm import ByJudge, ByLikelihood, ByScore, Comparison, imported_grader
from services.router.studies.off_path import Study
from services.router.studies.rerunning import Rerunner
from tiercel.errors import InvalidRequest
from tiercel.tiers import Configuration


def studies(
    settings: Settings, configuration: Configuration, fleet: Fleet, advice: Advice
) -> tuple[Study, ...]:
    """Return the studies that are switched on."""
    found: list[Study] = []
    found += draft_scoring(configuration, fleet, advice, share=settings.score_share)
    found += _audits(settings, configuration, fleet, advice)
    return tuple(found)


def _audits(
    settings: Settings, configuration: Configuration, fleet: Fleet, advice: Advice
) -> list[Audits]:
    shares = AuditShares(running=settings.audit_share, certifying=settings.certifying_share)
    comparison = _comparison(settings, configuration, fleet)
    if not (shares.running or shares.certifying):
        return []
    rerunner = Rerunner(
        fleet, heartbeat_s=settings.heartbeat_s, max_request_s=settings.max_request_s
    )
    return [Audits(configuration.plans, advice, rerunner, comparison, shares)]


def _comparison(settings: Settings, configuration: Configuration, fleet: Fleet) -> Comparison:
    if settings.audit_method == ByLikelihood.method:
        return ByLikelihood(fleet, settings.audit_delta)
    if settings.audit_method == ByScore.method:
        return ByScore(imported_grader(settings.audit_grader))
    tier = configuration.tiers.get(settings.audit_judge)
    if tier is None or tier.service != "verifier":
        raise InvalidRequest("audit_judge", settings.audit_judge, "is no verifier that is known")
    return ByJudge(fleet, settings.audit_judge)
