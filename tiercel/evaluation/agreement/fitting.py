"""From votes to the calibration of AGREEMENT: bins of sureness, and a rate that never falls."""

from collections.abc import Iterable, Mapping, Sequence

from tiercel.decoding import AgreementTable
from tiercel.decoding.agreement_table import ALL_KINDS, Bin, Bins
from tiercel.evaluation.agreement.votes import Vote

_MOST_BINS = 10
_FEWEST_IN_A_BIN = 20
# A kind of request has bins of its own with so many votes; with fewer all kinds speak for it.
_FEWEST_OF_A_KIND = 200


def fitted(
    votes: Sequence[Vote],
    *,
    target: str,
    drafters: Sequence[str],
    temperature: float = 0.0,
    measured_on: str = "",
) -> AgreementTable:
    """Return the table of what was measured."""
    kinds = sorted({vote.kind for vote in votes} - {ALL_KINDS})
    tables = {ALL_KINDS: _by_count(votes, 1)}
    for kind in kinds:
        tables[kind] = _by_count([one for one in votes if one.kind == kind], _FEWEST_OF_A_KIND)
    known = {kind: counts for kind, counts in tables.items() if counts}
    return AgreementTable(target, tuple(drafters), temperature, measured_on, known)


def expected(votes: Sequence[Vote], *, num_folds: int = 2) -> list[tuple[Vote, float]]:
    """Return each vote with the probability that a table says which has not seen its answer."""
    told = []
    for fold in range(num_folds):
        others = [vote for vote in votes if vote.sample % num_folds != fold]
        table = fitted(others, target="", drafters=())
        for vote in votes:
            if vote.sample % num_folds == fold:
                prob = table.prob(vote.kind, vote.num_agreeing, [vote.sureness])
                told.append((vote, prob))
    return told


def _by_count(votes: Iterable[Vote], fewest: int) -> Mapping[int, Bins]:
    by_count: dict[int, list[Vote]] = {}
    for vote in votes:
        by_count.setdefault(vote.num_agreeing, []).append(vote)
    return {count: _bins(each) for count, each in sorted(by_count.items()) if len(each) >= fewest}


def _bins(votes: Sequence[Vote]) -> Bins:
    """Return bins of about equally many votes; equal surenesses share one.

    Their rates are isotonic regression (pool adjacent violators, Barlow et al. 1972) over rates
    drawn towards one half by one vote, so that no bin is ever certain.
    """
    ordered = sorted(votes, key=lambda vote: vote.sureness)
    size = max(_FEWEST_IN_A_BIN, -(-len(ordered) // _MOST_BINS))
    groups: list[list[Vote]] = []
    for vote in ordered:
        is_full = not groups or len(groups[-1]) >= size
        if is_full and not (groups and groups[-1][-1].sureness == vote.sureness):
            groups.append([])
        groups[-1].append(vote)
    if len(groups) > 1 and len(groups[-1]) < _FEWEST_IN_A_BIN:
        groups[-2:] = [groups[-2] + groups[-1]]
    counts = [len(group) for group in groups]
    agreed = [sum(vote.target_agrees for vote in group) for group in groups]
    rates = [(good + 0.5) / (count + 1) for good, count in zip(agreed, counts, strict=True)]
    # What is less sure than anything measured is in the first bin, too.
    starts = [0.0, *(group[0].sureness for group in groups[1:])]
    rows = zip(starts, counts, agreed, isotonic(rates, counts), strict=True)
    return tuple(Bin(*row) for row in rows)


def isotonic(rates: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the weighted least-squares fit to `rates` that never falls."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, number of rates
    for rate, weight in zip(rates, weights, strict=True):
        block = (rate, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, before, count = blocks.pop()
            whole = before + block[1]
            pooled = (mean * before + block[0] * block[1]) / whole
            block = (pooled, whole, count + block[2])
        blocks.append(block)
    return [mean for mean, _, count in blocks for _ in range(count)]
