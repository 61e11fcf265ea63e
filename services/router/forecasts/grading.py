"""Qualities from a fitted predictor, by the answers that this router's plans give."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

from services.router.conversations import Remembered
from services.router.forecasts.forecasting import Graded
from tiercel.errors import ModelUnavailable
from tiercel.evaluation.column_answers import outline_of
from tiercel.plan_text import Outline
from tiercel.prediction.quality.featuriser import Conversation, features
from tiercel.prediction.quality.manifest import QualityManifest, TierRecord
from tiercel.prediction.quality.predictor import QualityPredictor
from tiercel.routing.answers import answer_of
from tiercel.sessions import Ask
from tiercel.tiers import Tier


class QualityGrader:
    """A predictor, and which of its plans gives which answer here."""

    def __init__(self, predictor: QualityPredictor, tiers: Mapping[str, Tier]) -> None:
        """Raises ModelUnavailable if it was fitted on another model under a tier's name."""
        manifest = predictor.manifest
        self.digest = manifest.model_sha256
        self._predictor = predictor
        here = _served_as(manifest, tiers)
        names = [*(plan.name for plan in manifest.plans), *manifest.added]
        self._answers = {name: tuple(_answers(name, here)) for name in names}
        self._pairs = {pair: tuple(_pairs(pair, here)) for pair in manifest.pairs}

    def grade(self, ask: Ask, conversation: Remembered) -> Graded:
        """Return what is predicted for one request."""
        said = self._predictor.predict(
            ask.prompt,
            temperature=ask.sampling.temperature,
            max_new_tokens=ask.stop.max_new_tokens,
            conversation=Conversation(num_escalations=conversation.num_escalations),
        )
        return Graded(
            quality=_renamed(said.quality, self._answers),
            bound=_renamed(said.bound, self._answers),
            num_tokens=_renamed(said.num_tokens, self._answers),
            acceptance=_renamed(said.acceptance, self._pairs),
            features=said.features,
        )


class Featuriser:
    """No predictor: the features of a prompt alone, for policies that were fitted on them."""

    digest = ""

    def grade(self, ask: Ask, conversation: Remembered) -> Graded:
        """Return the features of one request."""
        return Graded(
            features=features(
                ask.prompt,
                temperature=ask.sampling.temperature,
                conversation=Conversation(num_escalations=conversation.num_escalations),
            )
        )


def _renamed(values: Mapping[str, float], names: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    return {name: value for key, value in values.items() for name in names.get(key, ())}


def _served_as(manifest: QualityManifest, tiers: Mapping[str, Tier]) -> dict[str, tuple[str, ...]]:
    """Return the tiers here for each tier that was measured: those of its name, or of its model."""
    records = dict(manifest.tiers)
    records |= {name: one.tier for name, one in manifest.added.items() if one.tier is not None}
    known = {plan.name for plan in manifest.plans} | manifest.added.keys() | records.keys()
    found: dict[str, list[str]] = {}
    for name, tier in tiers.items():
        measured = name if name in known else _of_model(tier, records)
        if name in records:
            _check_same(name, tier, records[name])
        if measured:
            found.setdefault(measured, []).append(name)
    return {measured: tuple(names) for measured, names in found.items()}


def _of_model(tier: Tier, records: Mapping[str, TierRecord]) -> str:
    """Return the measured tier of this model, of the same weights' format if there is one."""
    model = _model(tier)
    alike = [name for name, one in records.items() if model and one.model == model]
    same = [name for name in alike if records[name].dtype == tier.dtype]
    return next(iter(same or alike), "")


def _check_same(name: str, tier: Tier, record: TierRecord) -> None:
    model = _model(tier)
    if model and record.model and model != record.model:
        raise ModelUnavailable(
            f"the quality predictor was fitted on model {record.model!r} as tier {name!r},"
            f" which is {model!r} here"
        )


def _model(tier: Tier) -> str:
    """Return the model's name: of a file its own, without what follows the last point."""
    path = Path(tier.model)
    return path.stem if path.suffix == ".gguf" else path.name


def _answers(name: str, here: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield the answers that a plan of the predictor's stands for; none for votes of samples."""
    outline = outline_of(name)
    if outline is None:
        return
    for named in _named_here(outline, here):
        yield answer_of(named.plan())


def _named_here(outline: Outline, here: Mapping[str, tuple[str, ...]]) -> Iterator[Outline]:
    below = [list(_named_here(drafter, here)) for drafter in outline.drafters]
    for tier in here.get(outline.tier, ()):
        for drafters in product(*below):
            yield replace(outline, tier=tier, drafters=drafters)


def _pairs(pair: str, here: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    drafter, _, verifier = pair.partition(" under ")
    for one, other in product(here.get(drafter, ()), here.get(verifier, ())):
        yield f"{one} under {other}"
