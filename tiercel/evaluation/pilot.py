"""The pilot: which sets the tiers differ on, by a rule that is fixed before anything is seen."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tiercel.errors import InvalidRequest
from tiercel.evaluation.statistics import estimate
from tiercel.whole_files import write_whole

PILOT_PROMPTS = 40
CUT_PROMPTS = 50
LEAST_BEST = 0.10  # a set whose best tier scores less
LEAST_SPREAD = 0.05  # or whose tiers lie nearer together
PILOT_FILE = "pilot.json"


class TierScore(BaseModel):
    """One tier on one set: the mean over the pilot's prompts, with its 95 % interval."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: float
    low: float
    high: float
    count: int


class SetVerdict(BaseModel):
    """What the pilot says of a set; `why` is empty for one that is collected in full."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set_digest: str
    metric: str
    tiers: dict[str, TierScore]
    is_cut: bool
    why: str = ""


class Pilot(BaseModel):
    """The verdicts by set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    sets: dict[str, SetVerdict] = {}


def judge(set_digest: str, metric: str, scores: Mapping[str, list[float]]) -> SetVerdict:
    """Return the verdict on a set from each tier's main scores."""
    tiers = {}
    for tier, values in scores.items():
        one = estimate(values)
        rounded = {name: round(getattr(one, name), 4) for name in ("mean", "low", "high")}
        tiers[tier] = TierScore(**rounded, count=one.count)
    means = [sum(values) / len(values) for values in scores.values()]
    best, spread = max(means), max(means) - min(means)
    why = ""
    if best < LEAST_BEST:
        why = f"the best tier scores {best:.3f}, below {LEAST_BEST:.2f}"
    elif spread < LEAST_SPREAD:
        why = f"the tiers differ by {spread:.3f}, below {LEAST_SPREAD:.2f}"
    return SetVerdict(set_digest=set_digest, metric=metric, tiers=tiers, is_cut=bool(why), why=why)


def read_pilot(root: Path) -> Pilot:
    """Return the verdicts that a matrix has so far; raises InvalidRequest for a broken file."""
    path = root / PILOT_FILE
    if not path.exists():
        return Pilot()
    try:
        return Pilot.model_validate_json(path.read_bytes())
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise InvalidRequest("pilot", str(path), why) from None


def write_pilot(root: Path, pilot: Pilot) -> None:
    """Put the verdicts beside the matrix."""
    write_whole(root / PILOT_FILE, pilot.model_dump_json(indent=1).encode() + b"\n")
