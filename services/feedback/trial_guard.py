"""Rolls a policy on trial back once it is shown to be worse than allowed, for good."""

from contextlib import suppress

import structlog

from services.feedback import metrics
from services.feedback.cells import Snapshot
from services.feedback.guardrail import AUTHOR
from services.feedback.operators import Operators
from services.feedback.trials import TrialLearning
from tiercel.errors import Unavailable

log = structlog.get_logger(__name__)


class TrialGuard:
    """Looks at each snapshot; any number of replicas may, for a trial is ended once."""

    def __init__(self, learning: TrialLearning, operators: Operators) -> None:
        self._learning, self._operators = learning, operators

    async def check(self, snapshot: Snapshot) -> None:
        """End what is shown to be worse; the store may be away."""
        for trial in self._learning.trials(snapshot):
            pair = trial.policy, trial.incumbent
            if not trial.rolled_back or pair in snapshot.ended:
                continue
            log.warning("a policy on trial is rolled back", policy=pair[0], reason=trial.reason)
            with suppress(Unavailable):  # the next snapshot tells of it again
                await self._operators.end_trial(*pair, author=AUTHOR, reason=trial.reason)
                metrics.num_trials_ended.labels(trial.policy).inc()
