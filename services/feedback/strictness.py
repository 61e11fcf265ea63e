"""The strictness of lossy rules: certified by audits, then led by divergence, which costs nothing.

What follows an answer's divergence is done in the store, by `follow.lua`; here is what it is told.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from services.feedback.cells import ALL_KINDS, Cell, Snapshot, Sums, kinds_of
from services.feedback.certification import certify
from tiercel.learning import Audit, Event, Outcome, StrictnessPolicy
from tiercel.rules import is_lossy
from tiercel.strictness.bounds import anytime_upper
from tiercel.strictness.certification import Certificate, Standard
from tiercel.strictness.following import CEILING, Steering
from tiercel.types import Rule

MAX_KINDS = 3  # of a rule that are certified by themselves
# An answer at another strictness than that which is led says nothing about it.
_SAME_STRICTNESS = 5e-4

Cells = Mapping[Cell, Sums]


@dataclass(frozen=True)
class Goal:
    """What a rule's strictness is led to, for one kind."""

    level: Cell  # whose audits certify the target, the mean divergence of its answers
    num_audits: int  # that it has if it is certified
    first: float
    floor: float
    max_harm: float  # share of answers that may be harmed
    ceiling: float = CEILING


@dataclass(frozen=True)
class Remark:
    """What one event says about a strictness that is led."""

    cell: Cell
    goal: Goal
    strictness: float  # that was in force
    tolerance: float  # how far from the one that is led it may be
    sums: Sums


@dataclass(frozen=True)
class Violation:
    """A certificate that running audits contradict."""

    rule: Rule
    kind: str
    num_audits: int
    num_harmed: int
    doubt: float  # the most that bets on more harm have won


@dataclass(frozen=True)
class StrictnessLearning:
    """What the cells say about each lossy rule that was used or is to be certified."""

    standard: Standard = field(default_factory=Standard)
    steering: Steering = field(default_factory=Steering)
    rules: tuple[Rule, ...] = ()  # certified before any answer was given under them

    def policies(self, snapshot: Snapshot) -> tuple[StrictnessPolicy, ...]:
        """Return the strictness of each rule, for all kinds and for those most audited."""
        cells, frozen = snapshot.cells, snapshot.frozen is not None
        return tuple(self._policy(cells, *one, frozen=frozen) for one in self._known(cells))

    def goals(self, snapshot: Snapshot) -> dict[Cell, Goal]:
        """Return what the store has to follow, by the cell of the strictness."""
        found = {}
        for rule, kind in self._known(snapshot.cells):
            certificate = certify(snapshot.cells, rule, kind, self.standard)
            if certificate.holds and certificate.level is not None:
                level = Cell.of_level(rule, certificate.level, kind)
                found[Cell.of_strictness(rule, kind)] = Goal(
                    level,
                    self.standard.num_audits,
                    self._first(certificate),
                    self._floor,
                    self.standard.epsilon,
                )
        return found

    def violations(self, snapshot: Snapshot) -> list[Violation]:
        """Return the certificates whose harm audits have found to be above epsilon."""
        found = []
        for rule, kind in self._known(snapshot.cells):
            led = snapshot.cells.get(Cell.of_strictness(rule, kind), {})
            if self._is_contradicted(led):
                found.append(Violation(Rule(rule), kind, *_audits(led), _doubt(led)))
        return found

    def _known(self, cells: Cells) -> list[tuple[str, str]]:
        """Return the rules, each for all kinds and for the most audited ones."""
        used = {cell.subject[1] for cell in cells if cell.subject[0] in ("rule", "level")}
        lossy = {rule.value for rule in Rule if is_lossy(rule)}
        rules = sorted((used | {rule.value for rule in self.rules}) & lossy)
        return [(rule, kind) for rule in rules for kind in _kinds(cells, rule)]

    def _policy(self, cells: Cells, rule: str, kind: str, *, frozen: bool) -> StrictnessPolicy:
        certificate = certify(cells, rule, kind, self.standard)
        led = cells.get(Cell.of_strictness(rule, kind), {})
        audits, harmed = _audits(led)
        certified = certificate.holds and not self._is_contradicted(led)
        if not certificate.holds:
            audits, harmed = certificate.num_audits, certificate.num_harmed
        seen = cells.get(Cell.of_rule(rule, kind), {})
        answers = seen.get("answers", 0.0)
        return StrictnessPolicy(
            rule=Rule(rule),
            kind=kind,
            strictness=self._strictness(certificate, led, certified=certified),
            target_divergence=certificate.target_divergence if certified else None,
            divergence=seen["divergence"] / answers if answers else 0.0,
            num_answers=round(answers),
            num_audits=audits,
            num_harmed=harmed,
            harm_bound=anytime_upper(harmed, audits, self.standard.delta),
            certified=certified,
            frozen=frozen,
        )

    def _strictness(self, certificate: Certificate, led: Sums, *, certified: bool) -> float:
        """Return the strictness to use if certified, else that to audit, 1 without any."""
        if certified:
            return led.get("strictness", self._first(certificate))
        return 1.0 if certificate.next_level is None else certificate.next_level

    def _is_contradicted(self, led: Sums) -> bool:
        return self.standard.is_contradicted(*_audits(led), _doubt(led))

    def _first(self, certificate: Certificate) -> float:
        first = self.steering.first if self.steering.first is not None else certificate.level
        return min(CEILING, max(self._floor, CEILING if first is None else first))

    @property
    def _floor(self) -> float:
        return self.standard.levels[-1]


def remarks(event: Event, goals: Mapping[Cell, Goal], steering: Steering) -> Iterator[Remark]:
    """Yield what an event says about each strictness that is led."""
    if isinstance(event, Outcome) and (use := event.rule_use) is not None:
        if use.divergence is None:
            return
        rule, strictness, tolerance = use.rule, use.strictness, _SAME_STRICTNESS
        sums = {"answers": 1.0, "divergence": use.divergence}
    elif isinstance(event, Audit) and not event.certifying:
        # An audit comes late: the strictness may have made a step since.
        rule, strictness, tolerance = event.rule, event.strictness, steering.max_step
        sums = {"audits": 1.0, "harmed": float(event.harmed)}
    else:
        return
    for kind in kinds_of(event.kind):
        cell = Cell.of_strictness(rule.value, kind)
        if cell in goals:
            yield Remark(cell, goals[cell], strictness, tolerance, sums)


def _kinds(cells: Cells, rule: str) -> list[str]:
    """Return all kinds together, and the few that were audited most on the way to a certificate."""
    audits: dict[str, float] = {}
    for cell, sums in cells.items():
        if cell.subject[:2] == ("level", rule) and cell.kind != ALL_KINDS:
            audits[cell.kind] = audits.get(cell.kind, 0.0) + sums.get("audits", 0.0)
    ranked = sorted(audits, key=lambda kind: (-audits[kind], kind))
    return [ALL_KINDS, *sorted(ranked[:MAX_KINDS])]


def _audits(sums: Sums) -> tuple[int, int]:
    return round(sums.get("audits", 0.0)), round(sums.get("harmed", 0.0))


def _doubt(sums: Sums) -> float:
    return sums.get("doubt", 0.0)
