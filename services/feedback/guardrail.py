"""Withdraws certificates that running audits contradict; the rule is then certified anew."""

from contextlib import suppress

import structlog

from services.feedback.cells import Cell, Snapshot
from services.feedback.operators import Operators
from services.feedback.strictness import StrictnessLearning, Violation
from tiercel.errors import Unavailable

log = structlog.get_logger(__name__)

AUTHOR = "a guardrail"


class Guardrail:
    """Looks at each snapshot; any number of replicas may, for a certificate is withdrawn once."""

    def __init__(self, learning: StrictnessLearning, operators: Operators) -> None:
        self._learning, self._operators = learning, operators

    async def check(self, snapshot: Snapshot) -> None:
        """Withdraw what is contradicted, unless it is frozen; the store may be away."""
        if snapshot.frozen is not None:
            return
        for violation in self._learning.violations(snapshot):
            with suppress(Unavailable):  # the next snapshot tells of it again
                await self._withdraw(violation, snapshot)

    async def _withdraw(self, violation: Violation, snapshot: Snapshot) -> None:
        rule, kind = violation.rule.value, violation.kind
        levels = [
            cell
            for cell in snapshot.cells
            if cell.subject[:2] == ("level", rule) and cell.kind == kind
        ]
        about = f"of kind {kind}" if kind else "of all kinds"
        standard = self._learning.standard
        reason = (
            f"{rule} for requests {about}: {violation.num_harmed} of {violation.num_audits} audits"
            f" found harm, which in all or of late is more than {standard.epsilon:g}"
            f" (statistic {violation.doubt:.3g}, alarm at {standard.run_length:g})"
        )
        log.warning("a certificate is withdrawn", rule=rule, kind=kind, reason=reason)
        led = Cell.of_strictness(rule, kind)
        await self._operators.withdraw(
            led, levels, violation.num_audits, author=AUTHOR, reason=reason
        )
