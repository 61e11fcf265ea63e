"""A lossy rule's life, step by step as the product leads it: certified, followed, withdrawn.

Audits and answers are drawn from a curve of harm. While a rule is not certified, ordinary answers
are those of EXACT, so nothing that is served is harmed.
"""

from dataclasses import dataclass, field

import numpy as np

from tiercel.evaluation.learning.harm import HarmCurve
from tiercel.evaluation.learning.world import Doubles
from tiercel.strictness.certification import Certificate, LevelAudits, Standard, in_sequence
from tiercel.strictness.detection import HarmBets
from tiercel.strictness.following import CEILING, Steering


@dataclass(frozen=True)
class Auditing:
    """How much is audited, and how long a run is."""

    certifying_share: float = 0.2  # of requests, until the sequence has ended
    running_share: float = 0.02  # of requests, afterwards
    num_requests: int = 12_000
    drift_at: int = 6_000
    drift: float = 10.0  # what harm is multiplied with from then on; divergence stays as it is
    standard: Standard = field(default_factory=Standard)
    steering: Steering = field(default_factory=Steering)


@dataclass(frozen=True, eq=False)
class Run:
    """One run, a step of strictness at a time; each step is `Steering.min_answers` requests."""

    harm: Doubles  # true, expected, of what was served
    certified_harm: tuple[float, ...]  # true harm of each level when it was certified last
    withdrawals: tuple[int, ...]  # requests at which a certificate was


class Rule:
    """The state of one rule: what the cells of the feedback service hold."""

    def __init__(self, standard: Standard, steering: Steering) -> None:
        self._standard, self._steering = standard, steering
        self.strictness = 1.0
        self._levels: dict[float, LevelAudits] = {}
        self._audits = self._harmed = 0
        self._bets = HarmBets()
        self._certificate = self._found()

    @property
    def is_certified(self) -> bool:
        """Whether ordinary answers are given under the rule."""
        return self._certificate.holds

    @property
    def level(self) -> float | None:
        """The strictness that audits try next; None once the sequence has ended."""
        return self._certificate.next_level

    def certify(self, divergence: float, harmed: bool) -> bool:
        """Count an audit of the present level; return whether that has certified the rule."""
        level = self.level
        assert level is not None
        old = self._levels.get(level, LevelAudits())
        self._levels[level] = LevelAudits(
            old.audits + 1, old.harmed + harmed, old.divergence + divergence
        )
        self._certificate = self._found()
        if self._certificate.holds and self._certificate.level is not None:
            first = self._steering.first
            start = self._certificate.level if first is None else first
            self.strictness = min(CEILING, max(self._standard.levels[-1], start))
        return self._certificate.holds

    def follow(self, divergence: float) -> None:
        """Make a step of strictness."""
        target = self._certificate.target_divergence
        assert target is not None
        self.strictness = self._steering.stepped(
            self.strictness, divergence, target, self._standard.levels[-1]
        )

    def audit(self, harmed: bool) -> bool:
        """Count a running audit; return whether it withdraws the certificate."""
        self._audits, self._harmed = self._audits + 1, self._harmed + harmed
        self._bets = self._bets.after(harmed=harmed, epsilon=self._standard.epsilon)
        if not self._standard.is_contradicted(self._audits, self._harmed, self._bets.doubt):
            return False
        self._forget()
        return True

    @property
    def certified_level(self) -> float | None:
        """The most lenient level that is certified."""
        return self._certificate.level

    def _forget(self) -> None:
        self._levels = {}
        self._audits = self._harmed = 0
        self._bets = HarmBets()
        self._certificate = self._found()

    def _found(self) -> Certificate:
        return in_sequence(lambda at: self._levels.get(at, LevelAudits()), self._standard)


def lived(curve: HarmCurve, auditing: Auditing, seed: int) -> Run:
    """Return one run of a rule over its curve of harm."""
    random = np.random.default_rng(seed)
    rule, step = Rule(auditing.standard, auditing.steering), auditing.steering.min_answers
    harm: list[float] = []
    certified: list[float] = []
    withdrawals: list[int] = []
    for at in range(0, auditing.num_requests, step):
        factor = auditing.drift if at >= auditing.drift_at else 1.0
        if not rule.is_certified:
            harm.append(0.0)
            audits = int(random.binomial(step, auditing.certifying_share))
            if _certifying(rule, curve, audits, random, factor):
                certified.append(curve.true_harm(rule.certified_level or 1.0, factor))
            continue
        harm.append(curve.true_harm(rule.strictness, factor))
        answers = curve.drawn(rule.strictness, step, random, factor)
        audited = int(random.binomial(step, auditing.running_share))
        if any(rule.audit(bool(one)) for one in answers[1, :audited].tolist()):
            withdrawals.append(at + step)
        else:
            rule.follow(float(answers[0].mean()))
    return Run(np.array(harm), tuple(certified), tuple(withdrawals))


def _certifying(
    rule: Rule, curve: HarmCurve, audits: int, random: np.random.Generator, factor: float
) -> bool:
    """Audit until there are so many, or the sequence has ended; return whether it certifies."""
    for _ in range(audits):
        if rule.level is None:
            return False
        divergence, harmed = curve.drawn(rule.level, 1, random, factor)[:, 0].tolist()
        if rule.certify(divergence, bool(harmed)):
            return True
    return False
