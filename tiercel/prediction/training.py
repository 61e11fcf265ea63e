"""Fits the predictor on measured outcomes: for every head the model that held-out prompts favour.

Needs the extra `train`. No label is made up: what was not measured is left out.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tiercel.errors import InvalidRequest
from tiercel.plan_text import parse_plan
from tiercel.prediction import features
from tiercel.prediction.exporting import exported
from tiercel.prediction.manifest import MANIFEST_FILE, MODEL_FILE, Head, HeadKind, Manifest
from tiercel.prediction.records import OutcomeLine, read_outcomes
from tiercel.types import FinishReason, Message

Array = npt.NDArray[np.float64]

_NUM_FOLDS = 5
# A head with fewer outcomes than this says nothing that its mean does not say.
_MIN_OUTCOMES = 20

# A ridge so stiff that only the mean is left is the baseline that the others have to beat.
CANDIDATES: dict[str, Callable[[], Any]] = {
    "mean": lambda: make_pipeline(StandardScaler(), Ridge(alpha=1e9)),
    "ridge": lambda: make_pipeline(StandardScaler(), Ridge(alpha=30.0)),
    "boosting": lambda: GradientBoostingRegressor(
        n_estimators=60, max_depth=2, learning_rate=0.1, subsample=0.8, random_state=0
    ),
}


@dataclass(frozen=True)
class Sample:
    """What one output of the model is fitted on."""

    kind: HeadKind
    of: str
    rows: Array  # [n, features]
    targets: Array  # [n], logarithms for a log head
    groups: list[str]  # [n], the prompts
    log: bool = True


def train(outcomes_path: Path, out_dir: Path) -> Manifest:
    """Fit on the outcomes in a file, write model and manifest to a folder, return the manifest.

    Raises InvalidRequest for outcomes that are too few or not readable.
    """
    outcomes = read_outcomes(outcomes_path)
    prompts = {outcome.prompt for outcome in outcomes}
    if len(prompts) < _MIN_OUTCOMES:
        why = f"holds {len(prompts)} different prompts, at least {_MIN_OUTCOMES} are needed"
        raise InvalidRequest("outcomes", str(outcomes_path), why)
    fitted = [_fitted(sample) for sample in _samples(outcomes) if len(sample.targets)]
    model = exported([regressor for _, regressor in fitted], len(features.NAMES))
    censored = sum(outcome.reason is FinishReason.LENGTH for outcome in outcomes)
    manifest = Manifest(
        features_version=features.VERSION,
        feature_names=features.NAMES,
        plans={outcome.plan_name: outcome.plan for outcome in outcomes},
        heads=tuple(head for head, _ in fitted),
        model_sha256=sha256(model).hexdigest(),
        outcomes_sha256=sha256(outcomes_path.read_bytes()).hexdigest(),
        num_outcomes=len(outcomes),
        num_prompts=len(prompts),
        share_censored=censored / len(outcomes),
    )
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / MODEL_FILE).write_bytes(model)
    (out_dir / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
    return manifest


def _samples(outcomes: Sequence[OutcomeLine]) -> list[Sample]:
    by_plan = _grouped(outcomes, lambda outcome: [outcome.plan_name])
    by_root = _grouped(outcomes, lambda outcome: [parse_plan(outcome.plan).tier])
    by_pair = _grouped(outcomes, _judged_pairs)
    return [
        *(_sample("output_length", root, own, _log_length) for root, own in by_root.items()),
        *(_sample("first_token_s", plan, own, _log_first) for plan, own in by_plan.items()),
        *(_sample("token_s", plan, _of_two(own), _log_each) for plan, own in by_plan.items()),
        *(
            _sample("acceptance", pair, own, partial(_rate, pair=pair), log=False)
            for pair, own in by_pair.items()
        ),
    ]


def _grouped(
    outcomes: Sequence[OutcomeLine], keys: Callable[[OutcomeLine], Sequence[str]]
) -> dict[str, list[OutcomeLine]]:
    grouped: dict[str, list[OutcomeLine]] = {}
    for outcome in outcomes:
        for key in keys(outcome):
            grouped.setdefault(key, []).append(outcome)
    return grouped


def _sample(
    kind: HeadKind,
    of: str,
    outcomes: Sequence[OutcomeLine],
    target: Callable[[OutcomeLine], float],
    *,
    log: bool = True,
) -> Sample:
    rows = [
        features.features((Message("user", one.prompt),), temperature=one.temperature)
        for one in outcomes
    ]
    return Sample(
        kind,
        of,
        np.asarray(rows, dtype=np.float64),
        np.asarray([target(one) for one in outcomes]),
        [one.prompt for one in outcomes],
        log,
    )


def _fitted(sample: Sample) -> tuple[Head, Any]:
    """Return the head and the regressor with the least error on prompts it has not seen."""
    errors = {name: _held_out_error(sample, make) for name, make in CANDIDATES.items()}
    enough = len(set(sample.groups)) >= _MIN_OUTCOMES
    best = min(errors, key=errors.__getitem__) if enough else "mean"
    regressor = CANDIDATES[best]().fit(sample.rows, sample.targets)
    head = Head(
        kind=sample.kind,
        of=sample.of,
        log=sample.log,
        model=best,
        num_outcomes=len(sample.targets),
        error=errors[best],
        baseline_error=errors["mean"],
    )
    return head, regressor


def _held_out_error(sample: Sample, make: Callable[[], Any]) -> float:
    """Return the mean absolute error, in the head's unit, by cross-validation over prompts."""
    num_folds = min(_NUM_FOLDS, len(set(sample.groups)))
    if num_folds < 2:
        return math.nan
    folds = GroupKFold(num_folds)
    predicted = cross_val_predict(
        make(), sample.rows, sample.targets, groups=sample.groups, cv=folds
    )
    unit = np.exp if sample.log else np.asarray
    return float(np.abs(unit(predicted) - unit(sample.targets)).mean())


def _log_length(outcome: OutcomeLine) -> float:
    return math.log(outcome.num_completion_tokens)


def _log_first(outcome: OutcomeLine) -> float:
    return math.log(outcome.first_token_s)


def _of_two(outcomes: Sequence[OutcomeLine]) -> list[OutcomeLine]:
    """Return the answers that took time after their first token."""
    return [
        one for one in outcomes if one.num_completion_tokens > 1 and one.total_s > one.first_token_s
    ]


def _log_each(outcome: OutcomeLine) -> float:
    later = outcome.num_completion_tokens - 1
    return math.log((outcome.total_s - outcome.first_token_s) / later)


def _judged_pairs(outcome: OutcomeLine) -> list[str]:
    judged = (one for one in outcome.pairs if one.num_accepted_tokens + one.num_rejected_tokens)
    return [f"{one.drafter} under {one.verifier}" for one in judged]


def _rate(outcome: OutcomeLine, pair: str) -> float:
    own = [one for one in outcome.pairs if f"{one.drafter} under {one.verifier}" == pair]
    accepted = sum(one.num_accepted_tokens for one in own)
    return accepted / (accepted + sum(one.num_rejected_tokens for one in own))
