"""The drafters of a configuration, ready to be held against a root's answers."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tiercel.drafters import table_path
from tiercel.engines.distilled import DistilledModel, drafter_folder
from tiercel.engines.ngram import NgramTable
from tiercel.errors import InvalidRequest
from tiercel.evaluation.loaded_tiers import LoadedTier, LoadedTiers
from tiercel.evaluation.matching.bridged import BridgedChooser
from tiercel.evaluation.matching.choices import Chooser, ModelChooser
from tiercel.evaluation.matching.distilled import DistilledChooser
from tiercel.evaluation.matching.lookups import LookupChooser
from tiercel.speculation.lookup import Basis
from tiercel.tiers import Configuration, Tier

_SUFFIX, _DISTILLED = "suffix", "distilled"
# A change to how look-ups choose: matches of another version are not theirs.
_LOOKUP_VERSION = "look-ups 1"


@dataclass(frozen=True)
class OpenDrafter:
    """What chooses, what that depends on, and whose ids it reads."""

    chooser: Chooser
    digest: str
    tokenizer_fingerprint: str = ""


def check_drafter(configuration: Configuration, name: str) -> None:
    """Raise InvalidRequest for a tier that there is not."""
    if name not in configuration.tiers:
        raise InvalidRequest("drafter", name, "no such tier in the configuration")


def open_drafter(
    configuration: Configuration, name: str, root: str, tiers: LoadedTiers
) -> tuple[OpenDrafter, LoadedTier]:
    """Return a drafter for a root, and the root, both loaded.

    Raises InvalidRequest for one that cannot draft for it, and ModelUnavailable.
    """
    check_drafter(configuration, name)
    tier = configuration.tiers[name]
    if tier.engine not in (_SUFFIX, _DISTILLED):
        loaded, drafter = tiers.get([root, name])
        return _model(drafter, loaded), loaded
    (loaded,) = tiers.get([root])
    opened = _lookup(tier, loaded) if tier.engine == _SUFFIX else _distilled(tier, loaded)
    return opened, loaded


def _model(drafter: LoadedTier, root: LoadedTier) -> OpenDrafter:
    own = drafter.tokenizer.fingerprint
    chooser: Chooser = ModelChooser(drafter.model)
    if own != root.tokenizer.fingerprint:
        chooser = BridgedChooser(drafter.model, drafter.tokenizer, root.tokenizer)
    digest = _digest(drafter.identity.model_dump_json().encode())
    return OpenDrafter(chooser, digest, own)


def _lookup(tier: Tier, root: LoadedTier) -> OpenDrafter:
    named = str(tier.settings.get("ngram", ""))
    path = table_path(named) if named else None
    table = None if path is None else NgramTable(path)
    if table is not None and table.header.tokenizer_fingerprint != root.tokenizer.fingerprint:
        raise InvalidRequest("drafter", named, f"{root.name} has another tokenizer")
    chooser = LookupChooser(Basis(pool_tokens=0, table=table), root.tokenizer.fingerprint)
    return OpenDrafter(chooser, _digest(_LOOKUP_VERSION.encode(), *([path] if path else [])))


def _distilled(tier: Tier, root: LoadedTier) -> OpenDrafter:
    folder = drafter_folder(tier.model)
    drafter = DistilledModel(tier.model)
    chooser = DistilledChooser(drafter, root)
    files = sorted(path for path in folder.iterdir() if path.suffix != ".md")
    return OpenDrafter(chooser, _digest(*files), drafter.manifest.tokenizer_fingerprint)


def _digest(*parts: bytes | Path) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else part.read_bytes()
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()
