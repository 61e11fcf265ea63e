"""Opens what answers for a column: the tier of a configuration, run inside this process."""

from dataclasses import dataclass

from tiercel import engines
from tiercel.errors import InvalidRequest, Unsupported
from tiercel.evaluation.column import Column
from tiercel.evaluation.generation import ColumnDecoder, TierDecoder
from tiercel.evaluation.matrix import TierIdentity
from tiercel.models.embedded import DEFAULT_MODEL
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
    """Opens columns one at a time: the model of the last one is kept until another is asked for."""

    def __init__(self, configuration: Configuration, *, batch: int, threads: int) -> None:
        self.ladder = ladder(configuration)
        self._configuration, self._batch, self._threads = configuration, batch, threads
        self._open: OpenColumn | None = None

    def open(self, column: Column) -> OpenColumn:
        """Return what answers for a column; raises Unsupported for one that is no single tier."""
        if not column.is_one_tier:
            raise Unsupported(f"only single tiers are collected, not {column}")
        name = column.plan.tier
        if self._open is None or name not in self._open.tiers:
            self.close()
            self._open = self._loaded(name)
        return self._open

    def close(self) -> None:
        """Give back the model that is loaded."""
        if self._open is not None:
            self._open.decoder.close()
            self._open = None

    def _loaded(self, name: str) -> OpenColumn:
        tier = self._configuration.tiers.get(name)
        if tier is None:
            raise InvalidRequest("column", name, "no such tier in the configuration")
        model, tokenizer = engines.load(
            tier.engine,
            tier.model or DEFAULT_MODEL,
            dtype=tier.dtype or None,
            threads=self._threads,
        )
        described = model.description
        identity = TierIdentity(
            model=described.name,
            engine=described.engine,
            dtype=described.dtype,
            weights_digest=described.weights_digest,
            tokenizer_fingerprint=tokenizer.fingerprint,
        )
        return OpenColumn(TierDecoder(name, model, tokenizer, self._batch), {name: identity})
