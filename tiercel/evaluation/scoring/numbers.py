"""Exact number: the answer's last statement of a result against the reference."""

import re
from decimal import Decimal, InvalidOperation

from tiercel.evaluation.items import Item

_NUMBER = r"-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)"
_NUMBERS = re.compile(_NUMBER)
# What announces the result; the last such place counts, else the text's last number.
_RESULTS = re.compile(rf"(?:####|answer\s+is:?|\\boxed\{{)[^\d\n.-]{{0,20}}({_NUMBER})", re.I)


def score_number(text: str, item: Item) -> dict[str, float]:
    """Return `exact`: 1 if the stated result equals the reference as a number."""
    stated, expected = stated_number(text), stated_number(item.reference)
    return {"exact": float(stated is not None and stated == expected)}


def stated_number(text: str) -> Decimal | None:
    """Return the number that a text gives as its result, or None.

    It is the one behind the last `####`, `answer is` or `\\boxed{`, else the last of all.
    Separators of thousands are dropped.
    """
    found = _RESULTS.findall(text) or _NUMBERS.findall(text)
    try:
        return Decimal(found[-1].replace(",", "")) if found else None
    except InvalidOperation:
        return None
