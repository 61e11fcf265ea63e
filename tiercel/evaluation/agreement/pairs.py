"""The matrix of tiers: how often two say the same, and how far their distributions lie apart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from tiercel.evaluation.agreement.readings import Reading, Top, agree, total_variation

# Of each tier, what it says of each sample.
Readings = Mapping[str, Sequence[Reading]]


@dataclass(frozen=True)
class TierLine:
    """How sure one tier is, over all places in which it has something to say."""

    tier: str
    num_places: int
    mean_prob: float | None  # that it gives its choice
    mean_entropy: float | None  # nats; None for a tier without logits
    mean_margin: float | None  # nats


@dataclass(frozen=True)
class PairLine:
    """How alike two tiers are where both have something to say."""

    one: str
    other: str
    num_places: int
    num_agreed: int  # of these, where both choose the same
    num_compared: int  # places where both distributions are known, in one vocabulary
    total_variation: float  # summed over these

    @property
    def agreement(self) -> float | None:
        """Top-1 agreement."""
        return self.num_agreed / self.num_places if self.num_places else None

    @property
    def similarity(self) -> float | None:
        """SimScore (arXiv:2505.07680): 1 - mean total variation."""
        return 1 - self.total_variation / self.num_compared if self.num_compared else None


def tier_lines(readings: Readings) -> list[TierLine]:
    """Return one line for each tier."""
    return [_tier_line(name, each) for name, each in readings.items()]


def pair_lines(readings: Readings, fingerprints: Mapping[str, str]) -> list[PairLine]:
    """Return one line for each two tiers, the diagonal left out.

    Tiers of one fingerprint are alike; others are compared by the bytes of what they choose.
    """
    names = list(readings)
    pairs = ((one, other) for one, other in product(names, names) if one < other)
    return [
        _pair_line(one, other, readings, alike=fingerprints[one] == fingerprints[other])
        for one, other in pairs
    ]


def _tier_line(tier: str, readings: Sequence[Reading]) -> TierLine:
    return TierLine(
        tier,
        num_places=sum(prob is not None for one in readings for prob in one.probs),
        mean_prob=_mean([prob for one in readings for prob in one.probs]),
        mean_entropy=_mean([entropy for one in readings for entropy in one.entropies]),
        mean_margin=_mean([margin for one in readings for margin in one.margins]),
    )


def _pair_line(one: str, other: str, readings: Readings, *, alike: bool) -> PairLine:
    both = list(zip(readings[one], readings[other], strict=True))
    agreed = [agree(*choices, alike=alike) for pair in both for choices in _choices(*pair)]
    apart = [total_variation(*tops) for pair in both for tops in _tops(*pair)] if alike else []
    return PairLine(one, other, len(agreed), sum(agreed), len(apart), sum(apart))


def _choices(one: Reading, other: Reading) -> Iterator[tuple[bytes, bytes]]:
    for first, second in zip(one.choices, other.choices, strict=True):
        if first is not None and second is not None:
            yield first, second


def _tops(one: Reading, other: Reading) -> Iterator[tuple[Top, Top]]:
    for first, second in zip(one.tops, other.tops, strict=True):
        if first is not None and second is not None:
            yield first, second


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the finite numbers among them."""
    known = [value for value in values if value is not None and value < float("inf")]
    return sum(known) / len(known) if known else None
