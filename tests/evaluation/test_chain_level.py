"""A tier that drafts goes on from what it is told, whatever it drafted before.

EXACT would hide a drafter with a wrong cache: nothing but its acceptance would show it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tiercel.evaluation.chain_level import Ask, ChainLevel, ChainTier
from tiercel.evaluation.fusion.reading import run
from tiercel.evaluation.loaded_tiers import LoadedTiers
from tiercel.tiers import load
from tiercel.types import Acceptance, SamplingParams

ASK = Ask((5, 6, 7, 8), SamplingParams(), frozenset())


@pytest.fixture(scope="module")
def chain(chained: Path) -> Iterator[list[ChainTier]]:
    tiers = LoadedTiers(load(chained), threads=1)
    yield [
        ChainTier(tier.name, tier.model, tier.vocabulary, Acceptance(), 3)
        for tier in tiers.get(["middle", "small"])
    ]
    tiers.close()


def drafted(level: ChainLevel, told: list[int]) -> tuple[int, ...]:
    ((_, draft),) = run([(0, level.drafted([*ASK.prompt_ids, *told], 5))], 1)
    return draft.token_ids


@pytest.mark.parametrize("depth", [1, 2])
def test_a_draft_is_that_of_a_level_that_was_told_nothing_before(
    chain: list[ChainTier], depth: int
):
    level, said = ChainLevel(chain[:depth], ASK), set[tuple[int, ...]]()
    for told in ([9, 10], [9, 10, 11, 12], [9, 20, 21, 22, 23, 24, 25], [9, 20], [30] * 9):
        fresh = ChainLevel(chain[:depth], ASK)
        draft = drafted(level, told)
        assert draft == drafted(fresh, told) and len(draft) == 5
        fresh.close()
        said.add(draft)
    assert len(said) > 3
    assert level.drafter is None or level.drafter.work.passes.total() > 0
    level.close()


def test_what_lies_below_is_told_of_a_cut_however_late(chain: list[ChainTier]):
    """A level that is not asked for a while has wrong tokens far before the sequence's end."""
    level, fresh = (ChainLevel(chain[1:], ASK) for _ in range(2))
    drafted(level, [9, 10])
    told = [9, 40, 41, 42, 43, 44, 45, 46, 47]
    assert drafted(level, told) == drafted(fresh, told)
    level.close()
    fresh.close()
