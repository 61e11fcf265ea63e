"""Tiers of a configuration, their models inside this process."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from tiercel import engines
from tiercel.decoding import Vocabulary
from tiercel.engines.language_model import LanguageModel
from tiercel.errors import InvalidRequest
from tiercel.evaluation.matrix import TierIdentity
from tiercel.models.embedded import DEFAULT_MODEL
from tiercel.tiers import Configuration, Tier
from tiercel.tokenizer import Tokenizer

# Engines that only draft.
_WITHOUT_MODEL = ("suffix", "distilled")


@dataclass(frozen=True, eq=False)
class LoadedTier:
    """One tier's model with its tokenizer, and what the matrix keeps of it."""

    name: str
    model: LanguageModel
    tokenizer: Tokenizer
    identity: TierIdentity
    settings: Tier  # as the configuration has it

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What sampling has to know of the model's tokens."""
        ids = range(self.model.description.vocab_size)
        return Vocabulary.of([self.tokenizer.token_bytes(id) for id in ids])


class LoadedTiers:
    """The tiers that are loaded: those that were asked for last."""

    def __init__(self, configuration: Configuration, *, threads: int) -> None:
        """Load nothing yet; passes take so many threads, 0 one for each core."""
        self._configuration, self._threads = configuration, threads
        self._loaded: dict[str, LoadedTier] = {}

    def get(self, names: Iterable[str]) -> list[LoadedTier]:
        """Return the tiers of these names, loaded; all others are given back.

        Raises InvalidRequest for one that has no model or that there is not, and
        ModelUnavailable.
        """
        wanted = list(names)
        for name in set(self._loaded) - set(wanted):
            self._loaded.pop(name).model.close()
        for name in wanted:
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
        return [self._loaded[name] for name in wanted]

    def close(self) -> None:
        """Give all models back."""
        self.get(())

    def _load(self, name: str) -> LoadedTier:
        tier = self._configuration.tiers.get(name)
        if tier is None or tier.engine in _WITHOUT_MODEL:
            raise InvalidRequest("tier", name, "no such tier with a model in the configuration")
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
        return LoadedTier(name, model, tokenizer, identity, tier)
