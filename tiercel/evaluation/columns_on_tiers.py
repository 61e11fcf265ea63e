"""Opens what answers for a column: tiers of a configuration, run inside this process."""

from dataclasses import dataclass

from tiercel.errors import Unsupported
from tiercel.evaluation.column import Column
from tiercel.evaluation.generation import ColumnDecoder, TierDecoder
from tiercel.evaluation.loaded_tiers import LoadedTiers
from tiercel.evaluation.matrix import TierIdentity
from tiercel.plan_text import Outline
from tiercel.tiers import Configuration


@dataclass(frozen=True)
class OpenColumn:
    """What decodes a column, and what the matrix keeps of its tiers."""

    decoder: ColumnDecoder
    tiers: dict[str, TierIdentity]


def ladder(configuration: Configuration) -> list[Column]:
    """Return a column for each tier with a model, alone and greedy, in the file's order."""
    alone = (name for name, tier in configuration.tiers.items() if tier.service == "verifier")
    return [Column(Outline(name)) for name in alone]


class ColumnOpener:
    """Opens columns one at a time: the models of the last one are kept until others are needed."""

    def __init__(self, configuration: Configuration, *, batch: int, threads: int) -> None:
        self.ladder = ladder(configuration)
        self._tiers, self._batch = LoadedTiers(configuration, threads=threads), batch

    def open(self, column: Column) -> OpenColumn:
        """Return what answers for a column; raises Unsupported for one that is no single tier."""
        if not column.is_one_tier:
            raise Unsupported(f"only single tiers are collected, not {column}")
        (tier,) = self._tiers.get([column.plan.tier])
        decoder = TierDecoder(tier.name, tier.model, tier.tokenizer, self._batch)
        return OpenColumn(decoder, {tier.name: tier.identity})

    def close(self) -> None:
        """Give back the models that are loaded."""
        self._tiers.close()
