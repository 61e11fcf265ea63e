"""Blinded pairs: two columns' answers to one prompt, on sides that chance gives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random

from tiercel.evaluation.items import Item
from tiercel.evaluation.judging.texts import Answered, AnswerText


@dataclass(frozen=True)
class Pair:
    """Two answers to a prompt whose texts differ, as they are shown."""

    item: Item
    left: AnswerText
    right: AnswerText


def blinded_pairs(prompts: Sequence[Answered], number: int, seed: int) -> list[Pair]:
    """Return up to `number` pairs, one of each prompt as long as there are others.

    The same arguments give the same pairs. Chance draws a prompt's columns and their sides.
    """
    chance = Random(seed)
    drawn = [_shuffled(one, chance) for one in prompts]
    rounds = max(map(len, drawn), default=0)
    spread = [pairs[at] for at in range(rounds) for pairs in drawn if at < len(pairs)]
    return spread[:number]


def _shuffled(one: Answered, chance: Random) -> list[Pair]:
    pairs = []
    for both in combinations(one.answers, 2):
        left, right = chance.sample(both, 2)
        if left.text != right.text:
            pairs.append(Pair(one.item, left, right))
    chance.shuffle(pairs)
    return pairs
