"""Plans as people write them: `target <- draft:4 <- suffix:8`, `target <- [draft:4@0.4, suffix]`.

`<-` reads "is drafted for by"; `:n` is num_speculative_tokens, `@c` is draft_confidence. A rule
other than EXACT stands behind the tier that judges by it: `target{rejection} <- draft:4`,
`target{lenient=0.7} <- draft` with its strictness, `target{agreement:3=0.9} <- [a, b, c]` with how
many have to agree. `{lenient=learned}` leaves the strictness to what a router was told, and
`{lenient=learned>=0.6}` allows it nothing below.
"""

import re
from dataclasses import dataclass, replace

from tiercel.errors import InvalidRequest
from tiercel.plan_rules import MAX_DEPTH
from tiercel.rules import check_acceptance
from tiercel.types import Acceptance, Plan, Rule
from tiercel.wire.plans import MAX_SPECULATIVE_TOKENS

NAME = r"[A-Za-z0-9][A-Za-z0-9_.\-]*"
_SHARE = r"\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_LEARNED = re.compile(rf"learned(?:\s*>=\s*({_SHARE}))?")
_STRICTNESS = rf"{_SHARE}|learned(?:\s*>=\s*{_SHARE})?"
_TOKENS = re.compile(
    rf"\s*(?:(?P<name>{NAME})|(?P<arrow><-)|(?P<mark>[\[\],}}])|\{{\s*(?P<rule>[A-Za-z_]+)"
    rf"|:\s*(?P<number>\d+)|@\s*(?P<confidence>{_SHARE})|=\s*(?P<strictness>{_STRICTNESS})|(?P<end>$))"
)


@dataclass(frozen=True)
class Outline:
    """A plan as written: None stands for what was left to the router."""

    tier: str
    num_speculative_tokens: int | None = None
    draft_confidence: float | None = None
    drafters: tuple["Outline", ...] = ()
    address: str = ""
    acceptance: Acceptance | None = None

    @property
    def is_written(self) -> bool:
        """Whether any number of this tier's own was written."""
        return self.num_speculative_tokens is not None or self.draft_confidence is not None

    def plan(self) -> Plan:
        """Return the plan, with the defaults for what was not written."""
        number, confidence = self.num_speculative_tokens, self.draft_confidence
        return Plan(
            tier=self.tier,
            address=self.address,
            acceptance=self.acceptance or Plan.acceptance,
            num_speculative_tokens=Plan.num_speculative_tokens if number is None else number,
            draft_confidence=Plan.draft_confidence if confidence is None else confidence,
            drafters=tuple(drafter.plan() for drafter in self.drafters),
        )

    def __str__(self) -> str:
        number, confidence = self.num_speculative_tokens, self.draft_confidence
        text = self.tier
        text += "" if self.acceptance is None else print_rule(self.acceptance)
        text += "" if number is None else f":{number}"
        text += "" if confidence is None else f"@{confidence!r}"
        below = ", ".join(map(str, self.drafters))
        if len(self.drafters) > 1:
            below = f"[{below}]"
        return f"{text} <- {below}" if below else text


def parse_plan(text: str) -> Outline:
    """Return what `text` says; raises InvalidRequest that names the character where it ends."""
    outline = _Parser(text).whole()
    if outline.is_written:
        raise InvalidRequest("plan", text, "the first tier drafts for nobody and takes no : or @")
    return outline


def print_plan(plan: Plan) -> str:
    """Return the text of a plan, every number written out; addresses have no text."""
    below = tuple(_outline(drafter) for drafter in plan.drafters)
    return str(Outline(plan.tier, drafters=below, acceptance=_written(plan.acceptance)))


def print_rule(acceptance: Acceptance) -> str:
    """Return the text of a rule, as it stands behind a tier."""
    text = acceptance.rule.value
    if acceptance.num_agreeing != Acceptance.num_agreeing:
        text += f":{acceptance.num_agreeing}"
    if acceptance.learned:
        text += "=learned"
        text += f">={acceptance.strictness!r}" if acceptance.strictness else ""
    elif acceptance.strictness != Acceptance.strictness:
        text += f"={acceptance.strictness!r}"
    return f"{{{text}}}"


def with_strictness(acceptance: Acceptance, text: str) -> Acceptance:
    """Return the rule with the strictness that stands behind its =: a number, or a learned one.

    Raises ValueError for a text that is neither.
    """
    learned = _LEARNED.fullmatch(text)
    number = text if learned is None else learned[1] or "0"
    return replace(acceptance, strictness=float(number), learned=learned is not None)


def _outline(plan: Plan) -> Outline:
    return Outline(
        plan.tier,
        plan.num_speculative_tokens,
        plan.draft_confidence or None,
        tuple(_outline(drafter) for drafter in plan.drafters),
        acceptance=_written(plan.acceptance),
    )


def _written(acceptance: Acceptance) -> Acceptance | None:
    return None if acceptance == Acceptance() else acceptance


class _Parser:
    """Recursive descent over one text, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._next()

    def whole(self) -> Outline:
        outline = self._tier(depth=1)
        if self._kind != "end":
            raise self._error("expected <- or the end")
        return outline

    def _tier(self, depth: int) -> Outline:
        if depth > MAX_DEPTH:
            raise self._error(f"deeper than {MAX_DEPTH} tiers")
        tier = self._take("name", "expected the name of a tier")
        acceptance = self._acceptance() if self._kind == "rule" else None
        number = self._number() if self._kind == "number" else None
        confidence = self._confidence() if self._kind == "confidence" else None
        drafters: tuple[Outline, ...] = ()
        if self._kind == "arrow":
            self._next()
            drafters = self._list(depth) if self._value == "[" else (self._tier(depth + 1),)
        return Outline(tier, number, confidence, drafters, acceptance=acceptance)

    def _list(self, depth: int) -> tuple[Outline, ...]:
        drafters = []
        while self._value in ("[", ","):
            self._next()
            drafters.append(self._tier(depth + 1))
        if self._value != "]":
            raise self._error("expected , or ]")
        self._next()
        return tuple(drafters)

    def _acceptance(self) -> Acceptance:
        try:
            rule = Rule(self._value)
        except ValueError:
            known = ", ".join(rule.value for rule in Rule)
            raise self._error(f"no such rule; the rules are {known}") from None
        self._next()
        acceptance = Acceptance(rule)
        if self._kind == "number":
            acceptance = replace(acceptance, num_agreeing=int(self._take("number", "")))
        if self._kind == "strictness":
            acceptance = with_strictness(acceptance, self._take("strictness", ""))
        if self._value != "}":
            raise self._error("expected }")
        try:
            check_acceptance(acceptance)
        except InvalidRequest as error:
            raise self._error(str(error)) from None
        self._next()
        return acceptance

    def _number(self) -> int:
        number = int(self._value)
        if number > MAX_SPECULATIVE_TOKENS:
            raise self._error(f"at most {MAX_SPECULATIVE_TOKENS} tokens in a block")
        self._next()
        return number

    def _confidence(self) -> float:
        confidence = float(self._value)
        if confidence > 1.0:
            raise self._error("a confidence is at most 1")
        self._next()
        return confidence

    def _take(self, kind: str, expected: str) -> str:
        if self._kind != kind:
            raise self._error(expected)
        value = self._value
        self._next()
        return value

    def _next(self) -> None:
        match = _TOKENS.match(self._text, self._position)
        if match is None:
            self._start = self._position
            raise self._error("cannot be read")
        self._kind = str(match.lastgroup)
        self._value = match[self._kind]
        self._start = match.start(self._kind)
        self._position = match.end()

    def _error(self, why: str) -> InvalidRequest:
        return InvalidRequest("plan", self._text, f"{why}, at character {self._start + 1}")
