"""A pass may feed a tree of tokens: where its branches part, and how deep each token lies. Pure."""

from collections.abc import Sequence

from tiercel.errors import InvalidRequest

ROOT = -1
"""The parent of a token that follows the last one of the cache."""


def check_parents(parents: Sequence[int], count: int) -> None:
    """Raise InvalidRequest unless each of `count` tokens has a parent before it, or none."""
    if len(parents) != count:
        raise InvalidRequest("parents", len(parents), f"there are {count} tokens")
    for place, parent in enumerate(parents):
        if not ROOT <= parent < place:
            raise InvalidRequest(f"parents[{place}]", parent, f"must be from -1 to {place - 1}")


def behind(count: int, parents: Sequence[int]) -> list[int]:
    """Return the parents of `count` tokens of which the last are a tree and the others a path."""
    lead = count - len(parents)
    tree = (lead - 1 if parent == ROOT else lead + parent for parent in parents)
    return [*range(ROOT, lead - 1), *tree]


def depths(parents: Sequence[int]) -> list[int]:
    """Return how many tokens of the tree lie above each."""
    result: list[int] = []
    for parent in parents:
        result.append(0 if parent == ROOT else result[parent] + 1)
    return result


def branches(parents: Sequence[int]) -> list[list[int]]:
    """Return for each leaf, in their order, the places of all tokens from the root down to it."""
    inner = set(parents)
    return [path_to(place, parents) for place in range(len(parents)) if place not in inner]


def path_to(place: int, parents: Sequence[int]) -> list[int]:
    """Return the places of all tokens from the root down to `place`, this one included."""
    path = [place]
    while (parent := parents[path[-1]]) != ROOT:
        path.append(parent)
    return path[::-1]
