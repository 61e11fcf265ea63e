"""What each drafter did for one tier of late, over all its requests: pure, time is an argument."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tiercel.descriptions import DrafterRecord
from tiercel.draft_stream import Judgement

# Judged tokens count for half after so many seconds.
_HALF_LIFE_S = 30.0
# A block moves the times by so much.
_NEWEST = 0.1


@dataclass
class Proposals:
    """How often a drafter that was asked had a first token, and then one more."""

    num_asked: float = 0.0
    num_begun: float = 0.0
    num_continued: float = 0.0
    num_ended: float = 0.0  # before it had as many tokens as were wanted

    def note(self, num_wanted: int, num_drafted: int) -> None:
        """Take in what was there when a pass began."""
        self.num_asked += 1
        self.num_begun += num_drafted > 0
        self.num_continued += max(0, num_drafted - 1)
        self.num_ended += 0 < num_drafted < num_wanted

    def add(self, other: "Proposals", kept: float = 1.0) -> None:
        """Let what was known count for `kept` of itself, and add what is new."""
        self.num_asked = kept * self.num_asked + other.num_asked
        self.num_begun = kept * self.num_begun + other.num_begun
        self.num_continued = kept * self.num_continued + other.num_continued
        self.num_ended = kept * self.num_ended + other.num_ended

    @property
    def start_rate(self) -> float:
        """The share of passes with a first token; never 0, as the next one may have some."""
        return (self.num_begun + 1) / (self.num_asked + 1)

    @property
    def continue_rate(self) -> float:
        """The chance of one more token."""
        return (self.num_continued + 1) / (self.num_continued + self.num_ended + 1)


@dataclass
class _Sums:
    at: float
    accepted: float = 0.0
    rejected: float = 0.0
    latency_s: float = 0.0
    token_s: float = 0.0
    proposals: Proposals = field(default_factory=Proposals)

    def fade(self, now: float) -> None:
        """Let judged tokens and proposals count for less."""
        kept = 0.5 ** ((now - self.at) / _HALF_LIFE_S)
        self.accepted, self.rejected, self.at = self.accepted * kept, self.rejected * kept, now
        self.proposals.add(Proposals(), kept)


class DrafterRecords:
    """Faded sums by a drafter's name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sums: dict[str, _Sums] = {}

    def judged(self, drafter: str, judgement: Judgement) -> None:
        """Take in what became of a block."""
        sums = self._of(drafter)
        sums.accepted += judgement.num_accepted
        sums.rejected += judgement.num_rejected

    def drafted(self, drafter: str, num_tokens: int, compute_s: float, latency_s: float) -> None:
        """Take in a block that came `latency_s` after it was asked for."""
        sums = self._of(drafter)
        sums.latency_s = _moved(sums.latency_s, latency_s)
        sums.token_s = _moved(sums.token_s, compute_s / num_tokens)

    def proposed(self, drafter: str, proposals: Proposals) -> None:
        """Take in what was there in passes for which it was asked."""
        self._of(drafter).proposals.add(proposals)

    def all(self) -> tuple[DrafterRecord, ...]:
        """Return what is known now, by name."""
        return tuple(
            DrafterRecord(
                name,
                sums.accepted,
                sums.rejected,
                sums.latency_s,
                sums.token_s,
                start_rate=sums.proposals.start_rate,
                continue_rate=sums.proposals.continue_rate,
            )
            for name in sorted(self._sums)
            for sums in [self._of(name)]
        )

    def _of(self, drafter: str) -> _Sums:
        now = self._clock()
        sums = self._sums.setdefault(drafter, _Sums(now))
        sums.fade(now)
        return sums


def _moved(known: float, seen: float) -> float:
    return known + _NEWEST * (seen - known) if known else seen
