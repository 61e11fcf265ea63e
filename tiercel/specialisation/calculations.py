"""The calculation steps in worked answers to word problems, each as an item of its own."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

from tiercel.evaluation.items import Item
from tiercel.evaluation.sets import EvaluationSet

_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_STEP = re.compile(
    rf"(?<![\d.%/*+-])({_NUMBER}(?: ?[-+*/] ?{_NUMBER})+) ?= ?({_NUMBER})(?![\d.,]*[%\d/*+-])"
)
_OPERATOR = re.compile(r" ?([-+*/]) ?")
# Results are rounded in the texts. What is further off was cut out of something longer.
_TOLERANCE = Fraction(1, 100)

CALCULATIONS = EvaluationSet(
    name="gsm8k_calculations",
    kind="math",
    scorer="number",
    instruction='Compute {prompt} and reply with the calculation only, as in "2 + 3 = 5".',
    max_new_tokens=32,
    num_prompts=300,
)


def calculations_of(items: Iterable[Item]) -> list[Item]:
    """Return each distinct calculation in the items' `solution`, with its result as reference."""
    steps = (step for item in items for step in _steps(item) if _holds(step))
    return list({_key(step.prompt): step for step in steps}.values())


def without(items: Iterable[Item], others: Iterable[Item]) -> list[Item]:
    """Return the calculations that are none of `others`, whatever their operands' order."""
    known = {_key(one.prompt) for one in others}
    return [item for item in items if _key(item.prompt) not in known]


def _steps(item: Item) -> Iterator[Item]:
    text = item.meta["solution"].replace("$", "")
    for number, (calculation, result) in enumerate(_STEP.findall(text)):
        asked = _OPERATOR.sub(r" \1 ", calculation.replace(",", ""))
        yield replace(
            item,
            set_name=CALCULATIONS.name,
            id=f"{item.id}-step-{number}",
            prompt=asked,
            reference=result.replace(",", ""),
            meta={},
        )


def _holds(step: Item) -> bool:
    """Return whether a calculation gives its reference, rounding aside."""
    first, *rest = step.prompt.split(" ")
    terms = [Fraction(first)]
    for operator, text in zip(rest[::2], rest[1::2], strict=True):
        number = Fraction(text)
        if operator == "/" and not number:
            return False
        if operator in "*/":
            terms[-1] *= number if operator == "*" else 1 / number
        else:
            terms.append(number if operator == "+" else -number)
    result = sum(terms, Fraction(0))
    return abs(result - Fraction(step.reference)) <= _TOLERANCE * max(Fraction(1), abs(result))


def _key(calculation: str) -> str:
    """Return the same text for calculations that differ in the order of one sum or product."""
    parts = calculation.split(" ")
    operators = set(parts[1::2])
    if operators in ({"+"}, {"*"}):
        parts[::2] = sorted(parts[::2])
    return " ".join(parts)
