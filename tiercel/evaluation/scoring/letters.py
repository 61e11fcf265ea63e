"""The letter of a multiple choice, read from one row of log-probabilities."""

import re
from collections.abc import Sequence

import numpy as np

from tiercel.evaluation.items import Item

_CHOICES = re.compile(r"^([A-Z])\. ", re.M)


def letters_of(item: Item) -> str:
    """Return the letters that an item offers: A to the last one in its prompt's own list."""
    if choices := item.meta.get("choices"):
        return _alphabet(len(choices))
    listed = _CHOICES.findall(item.prompt)
    # A question may itself hold such lines: the list is the last one that begins with A.
    start = len(listed) - 1 - listed[::-1].index("A") if "A" in listed else 0
    return "".join(listed[start:])


def score_letter(choice_logprobs: Sequence[float], item: Item) -> dict[str, float]:
    """Return `exact`, 1 if the right letter is the likeliest, and its share of the `probability`.

    `choice_logprobs` are those of the item's letters, in order; ties go to the first.
    """
    shares = np.exp(np.asarray(choice_logprobs, np.float64) - max(choice_logprobs))
    right = letters_of(item).index(item.reference)
    return {
        "exact": float(int(np.argmax(shares)) == right),
        "probability": float(shares[right] / shares.sum()),
    }


def _alphabet(count: int) -> str:
    return "".join(chr(ord("A") + place) for place in range(count))
