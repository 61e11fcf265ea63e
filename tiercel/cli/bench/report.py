"""What the samples of a bench say: for each plan, by task, and whether answers agree."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from tiercel.cli.bench.measurement import Sample
from tiercel.cli.statistics import PairReport
from tiercel.types import PairStats


@dataclass(frozen=True)
class PlanReport:
    """One plan; tokens_per_s is all tokens over all seconds, the median is over the answers.

    A plan has several `chains` when feedback changed its open numbers in the meantime.
    """

    name: str
    chains: tuple[str, ...]
    root: str
    num_answers: int
    num_tokens: int
    tokens_per_s: float
    median_tokens_per_s: float
    median_first_s: float
    pairs: tuple[PairReport, ...]
    tasks: dict[str, "PlanReport"]


@dataclass(frozen=True)
class Difference:
    """A prompt that plans of one root answered with different tokens."""

    prompt: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Agreement:
    """Whether all plans of one root gave the same tokens, prompt by prompt."""

    root: str
    names: tuple[str, ...]
    num_prompts: int
    differences: tuple[Difference, ...]


def plan_reports(samples: Sequence[Sample]) -> list[PlanReport]:
    """Return a report for each plan, in the order of the samples."""
    return [_plan_report(group, by_task=True) for group in _grouped(samples, "label")]


def agreements(samples: Sequence[Sample]) -> list[Agreement]:
    """Return for each root whether its plans agree."""
    return [_agreement(group) for group in _grouped(samples, "root")]


def _plan_report(samples: list[Sample], *, by_task: bool) -> PlanReport:
    tasks = _grouped(samples, "task") if by_task and any(one.task for one in samples) else []
    num_tokens = sum(len(one.token_ids) for one in samples)
    return PlanReport(
        name=samples[0].label,
        chains=tuple(dict.fromkeys(one.chain for one in samples)),
        root=samples[0].root,
        num_answers=len(samples),
        num_tokens=num_tokens,
        tokens_per_s=num_tokens / sum(one.total_s for one in samples),
        median_tokens_per_s=median(one.tokens_per_s for one in samples),
        median_first_s=median(one.first_s for one in samples),
        pairs=tuple(_pair_reports(pair for one in samples for pair in one.usage.pairs)),
        tasks={group[0].task: _plan_report(group, by_task=False) for group in tasks},
    )


def _pair_reports(pairs: Iterable[PairStats]) -> Iterable[PairReport]:
    sums: dict[tuple[str, str], PairStats] = {}
    for pair in pairs:
        empty = PairStats(pair.drafter, pair.verifier)
        sums.setdefault((pair.drafter, pair.verifier), empty).add(pair)
    for total in sums.values():
        yield PairReport(
            total.drafter,
            total.verifier,
            total.num_drafts,
            total.num_draft_tokens,
            total.num_accepted_tokens,
            total.num_rejected_tokens,
            total.acceptance_rate,
            total.mean_acceptance_length,
        )


def _agreement(samples: list[Sample]) -> Agreement:
    by_prompt = _grouped(samples, "prompt")
    differences = []
    for group in by_prompt:
        # Told apart from the answer of the plan that was named first.
        others = [one.label for one in group if one.token_ids != group[0].token_ids]
        if others:
            names = (group[0].label, *dict.fromkeys(others))
            differences.append(Difference(group[0].prompt, names))
    names = tuple(dict.fromkeys(one.label for one in samples))
    return Agreement(samples[0].root, names, len(by_prompt), tuple(differences))


def _grouped(samples: Sequence[Sample], attribute: str) -> list[list[Sample]]:
    groups: defaultdict[object, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[getattr(sample, attribute)].append(sample)
    return list(groups.values())
