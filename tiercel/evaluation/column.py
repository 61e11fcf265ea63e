"""A column of the outcome matrix: a plan, the rule of its root, and how tokens are drawn.

As text: `qwen-1.5b`, `qwen-0.5b; temperature=0.7`, `qwen-0.5b; temperature=0.7; votes=4`,
`qwen-1.5b <- qwen-0.5b:4; rule=lenient; strictness=0.5`.
"""

import re
from dataclasses import dataclass, replace

from tiercel.errors import InvalidRequest
from tiercel.plan_text import Outline, parse_plan
from tiercel.rules import check_acceptance
from tiercel.types import Acceptance, Rule

_EXACT = "exact"
_UNSAFE = re.compile(r"[^A-Za-z0-9.=_-]+")


@dataclass(frozen=True)
class Column:
    """What answers: `votes` samples are drawn, and the answer given most often counts."""

    plan: Outline
    rule: str = _EXACT
    strictness: float = 1.0
    temperature: float = 0.0
    votes: int = 1

    def __str__(self) -> str:
        parts = [str(self.plan)]
        for name in _NUMBERS:
            value = getattr(self, name)
            parts += [f"{name}={value:g}"] if value != getattr(Column, name) else []
        if self.rule != _EXACT:
            parts.insert(1, f"rule={self.rule}")
        return "; ".join(parts)

    @property
    def folder_name(self) -> str:
        """The text with what no file's name should hold replaced."""
        return _UNSAFE.sub("_", str(self))

    @property
    def acceptance(self) -> Acceptance:
        """The rule of the root."""
        return Acceptance(Rule(self.rule), self.strictness)

    @property
    def samples(self) -> "Column":
        """What draws the samples that are counted where there are several votes."""
        return replace(self, votes=1)

    @property
    def is_one_tier(self) -> bool:
        """Whether a single tier decodes alone."""
        return not self.plan.drafters and self.rule == _EXACT and self.votes == 1


_NUMBERS = ("strictness", "temperature", "votes")


def parse_column(text: str) -> Column:
    """Return the column that `text` names; raises InvalidRequest."""
    plan, *settings = (part.strip() for part in text.split(";"))
    values: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in (*_NUMBERS, "rule") or name in values:
            raise InvalidRequest("column", text, f"{setting!r} is no setting of a column")
        values[name] = value
    try:
        column = Column(
            parse_plan(plan),
            values.get("rule", _EXACT),
            float(values.get("strictness", 1)),
            float(values.get("temperature", 0)),
            int(values.get("votes", 1)),
        )
    except ValueError as error:
        raise InvalidRequest("column", text, str(error)) from None
    _check(column, text)
    return column


def _check(column: Column, text: str) -> None:
    checks = (
        (0 <= column.strictness <= 1, "strictness is from 0 to 1"),
        (column.rule in {rule.value for rule in Rule}, f"{column.rule!r} is no rule"),
        (0 <= column.temperature <= 100, "temperature is from 0 to 100"),
        (column.votes >= 1, "votes is at least 1"),
        (column.votes == 1 or column.temperature > 0, "votes at temperature 0 are all alike"),
    )
    for holds, why in checks:
        if not holds:
            raise InvalidRequest("column", text, why)
    check_acceptance(column.acceptance)
