"""All that one run of `tiercel agreement` found, as one object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tiercel.decoding import AgreementTable
from tiercel.evaluation.agreement.fitting import fitted
from tiercel.evaluation.agreement.pairs import (
    PairLine,
    Readings,
    TierLine,
    pair_lines,
    tier_lines,
)
from tiercel.evaluation.agreement.readings import Sample
from tiercel.evaluation.agreement.reliability import (
    Curve,
    acceptance_curves,
    correctness_curves,
    rank_chance,
)
from tiercel.evaluation.agreement.votes import CountLine, agreed_answers, count_lines, votes


@dataclass(frozen=True)
class Report:
    """Agreement of tiers over the answers of one of them, the target."""

    target: str
    num_answers: int
    num_tokens: int
    num_agreeing: int  # drafters that have to agree in what follows the counts
    tiers: tuple[TierLine, ...]
    pairs: tuple[PairLine, ...]
    counts: tuple[CountLine, ...]
    acceptance: tuple[Curve, ...]  # P(target agrees), forecast against what came
    correctness: tuple[Curve, ...]  # mean score against the share that was agreed on
    rank_chance: float | None  # that of a right and a wrong answer the right one was agreed on more


def report_of(
    samples: Sequence[Sample],
    readings: Readings,
    fingerprints: Mapping[str, str],
    *,
    target: str,
    num_agreeing: int,
) -> Report:
    """Return what the readings say; `fingerprints` are of the tiers' tokenizers."""
    found = votes(samples, readings, target, fingerprints)
    answers = agreed_answers(samples, found, num_agreeing)
    return Report(
        target=target,
        num_answers=len(samples),
        num_tokens=sum(len(sample.token_ids) for sample in samples),
        num_agreeing=num_agreeing,
        tiers=tuple(tier_lines(readings)),
        pairs=tuple(pair_lines(readings, fingerprints)),
        counts=tuple(count_lines(found)),
        acceptance=tuple(acceptance_curves(found, num_agreeing)),
        correctness=tuple(correctness_curves(answers)),
        rank_chance=rank_chance(answers),
    )


def table_of(
    samples: Sequence[Sample],
    readings: Readings,
    fingerprints: Mapping[str, str],
    *,
    target: str,
    temperature: float,
    measured_on: str,
) -> AgreementTable:
    """Return the calibration that the rule AGREEMENT needs of this target and these drafters."""
    return fitted(
        votes(samples, readings, target, fingerprints),
        target=target,
        drafters=[name for name in readings if name != target],
        temperature=temperature,
        measured_on=measured_on,
    )
