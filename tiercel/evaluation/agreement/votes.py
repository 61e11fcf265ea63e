"""What the drafters of a target agree on, place by place, and whether the target agrees too."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tiercel.decoding.agreement_table import sureness_of
from tiercel.evaluation.agreement.pairs import Readings
from tiercel.evaluation.agreement.readings import Reading, Sample, agree


@dataclass(frozen=True)
class Vote:
    """The choice of most drafters in one place."""

    sample: int
    kind: str
    num_agreeing: int
    sureness: float  # mean probability that those give it
    target_agrees: bool


@dataclass(frozen=True)
class AgreedAnswer:
    """How much of an answer enough drafters and the target agreed on."""

    kind: str
    share: float  # of its places
    score: float


def votes(
    samples: Sequence[Sample],
    readings: Readings,
    target: str,
    fingerprints: Mapping[str, str],
) -> list[Vote]:
    """Return the votes of all tiers but the target, wherever at least one has a choice."""
    return [
        vote
        for number, sample in enumerate(samples)
        for vote in _votes(number, sample, readings, target, fingerprints)
    ]


def agreed_answers(
    samples: Sequence[Sample], found: Sequence[Vote], least: int
) -> list[AgreedAnswer]:
    """Return how much at least `least` drafters and the target agreed on, of answers with a score.

    Tokens on which too few have something to say count as not agreed on.
    """
    agreed = [0] * len(samples)
    for vote in found:
        agreed[vote.sample] += vote.num_agreeing >= least and vote.target_agrees
    return [
        AgreedAnswer(sample.kind, count / len(sample.token_ids), sample.score)
        for sample, count in zip(samples, agreed, strict=True)
        if sample.score is not None and sample.token_ids
    ]


def _votes(
    number: int,
    sample: Sample,
    readings: Readings,
    target: str,
    fingerprints: Mapping[str, str],
) -> Iterator[Vote]:
    drafters = {name: each[number] for name, each in readings.items() if name != target}
    own = fingerprints[target]
    for place, said in enumerate(readings[target][number].choices):
        groups = _groups(drafters, place, {name: fingerprints[name] == own for name in drafters})
        if not groups or said is None:
            continue
        names = max(groups.values(), key=len)
        first = names[0]
        choice = drafters[first].choices[place]
        assert choice is not None, "who is in a group has a choice"
        yield Vote(
            sample=number,
            kind=sample.kind,
            num_agreeing=len(names),
            sureness=sureness_of([drafters[name].probs[place] for name in names]),
            target_agrees=agree(choice, said, alike=fingerprints[first] == own),
        )


def _groups(
    drafters: Mapping[str, Reading], place: int, alike: Mapping[str, bool]
) -> dict[bytes, list[str]]:
    """Return who chooses the same in a place; a foreign choice joins what it begins like."""
    groups: dict[bytes, list[str]] = {}
    for name in sorted(drafters, key=lambda name: not alike[name]):
        choice = drafters[name].choices[place]
        if choice is None:
            continue
        known = (one for one in groups if agree(one, choice, alike=alike[name]))
        groups.setdefault(next(known, choice), []).append(name)
    return groups


@dataclass(frozen=True)
class CountLine:
    """How often the target agrees where so many drafters do; kind "" is all of them."""

    kind: str
    num_agreeing: int
    num_places: int
    num_target_agrees: int


def count_lines(found: Sequence[Vote]) -> list[CountLine]:
    """Return a line for each kind and number of drafters, all kinds first."""
    kinds = sorted({vote.kind for vote in found})
    lines = []
    for kind in ["", *(kind for kind in kinds if kind and len(kinds) > 1)]:
        each = [vote for vote in found if kind in ("", vote.kind)]
        for number in sorted({vote.num_agreeing for vote in each}):
            told = [vote.target_agrees for vote in each if vote.num_agreeing == number]
            lines.append(CountLine(kind, number, len(told), sum(told)))
    return lines
