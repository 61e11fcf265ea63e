"""A new drafter in mid-stream: its acceptance is learned, and with it how many tokens it drafts.

Answers stay the same whatever drafts for them; only seconds are at stake, those of the prompt left
out. Matches are recorded, or made up; what an answer takes is counted block by block.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tiercel.decoding import Level, best_num_speculative_tokens, cost_per_token
from tiercel.evaluation.chain_replay import Flags
from tiercel.evaluation.learning.measures import Recovery, recovery
from tiercel.evaluation.learning.replay import Feedback, Stream
from tiercel.evaluation.learning.world import Doubles
from tiercel.evaluation.step_cost import Asked, PairTimes, TierTimes, chain_seconds

MAX_TOKENS = 8
_MIN_JUDGED = 200.0  # tokens before a pair is told to routers, as in the feedback service
_EXPLORED, _EXPLORED_TOKENS = 0.02, 4  # a share of requests, and their block length
ALONE = ""
"""The root without a drafter."""


@dataclass(frozen=True, eq=False)
class Drafting:
    """Answers of one root, and what each drafter's choices match of them."""

    root: TierTimes
    drafters: Mapping[str, TierTimes]  # the last one is new
    matches: Mapping[str, Sequence[Flags]]  # by drafter, of each answer
    is_synthetic: bool

    @property
    def new(self) -> str:
        """The drafter that appears in mid-stream."""
        return list(self.drafters)[-1]


@dataclass(frozen=True)
class Pace:
    """How fast a learner learns and forgets; requests are the clock."""

    half_life: float
    refresh: int
    scored_share: float  # of requests, in which idle drafters are scored off the hot path


@dataclass(frozen=True)
class DraftingResult:
    """How soon the new drafter is used as it should be."""

    feedback: str
    scored_share: float  # of the requests, in which idle drafters are scored
    recovery: Recovery
    is_synthetic: bool


def made_up_matches(
    lengths: Sequence[int], rates: Mapping[str, float], seed: int = 0
) -> dict[str, list[Flags]]:
    """Return synthetic matches of answers of so many tokens: each answer has a rate of its own.

    It is drawn from Beta(10 rate, 10 (1 - rate)); tokens of one answer are independent.
    """
    random = np.random.default_rng(seed)
    return {
        drafter: [
            random.random(length) < random.beta(10 * rate, 10 * (1 - rate)) for length in lengths
        ]
        for drafter, rate in rates.items()
    }


class Seconds:
    """What each answer takes with a drafter and a block length, computed when it is asked for."""

    def __init__(self, drafting: Drafting) -> None:
        self.drafting = drafting
        self._known: dict[tuple[int, str, int], float] = {}

    def of(self, answer: int, drafter: str, num_tokens: int) -> float:
        """Return the seconds after the prompt; of the root alone for no tokens."""
        key = (answer, drafter if num_tokens else ALONE, num_tokens)
        if key not in self._known:
            self._known[key] = self._counted(*key)
        return self._known[key]

    def mean(self, drafter: str, num_tokens: int) -> float:
        """Return the mean over all answers."""
        count = len(self.drafting.matches[self.drafting.new])
        return float(np.mean([self.of(at, drafter, num_tokens) for at in range(count)]))

    def _counted(self, answer: int, drafter: str, num_tokens: int) -> float:
        own = self.drafting
        if not num_tokens:
            return (len(own.matches[own.new][answer]) - 1) * own.root.pass_seconds(1)
        times = PairTimes(own.root, own.drafters[drafter])
        prompts = own.root.prefill_s + own.drafters[drafter].prefill_s
        return chain_seconds(own.matches[drafter][answer], times, num_tokens, Asked(0)) - prompts


class AcceptanceLearner:
    """Rates as the feedback service has them, accepted / (accepted + rejected), faded."""

    def __init__(self, drafting: Drafting, half_life: float) -> None:
        self._drafting, self._half_life = drafting, half_life
        self._sums = {drafter: np.zeros(2) for drafter in drafting.drafters}
        self._at = dict.fromkeys(drafting.drafters, 0)

    def learn(self, drafter: str, matches: Flags, at: int) -> None:
        """Count the tokens of one answer that a drafter got right and wrong."""
        kept = 0.5 ** ((at - self._at[drafter]) / self._half_life)
        accepted = float(matches.sum())
        self._sums[drafter] = kept * self._sums[drafter] + (accepted, len(matches) - accepted)
        self._at[drafter] = at

    def best(self, drafters: Sequence[str]) -> tuple[str, int]:
        """Return the drafter and block length of least seconds per token; (ALONE, 0) for none."""
        step_s = self._drafting.root.pass_seconds
        found = [(step_s(1), ALONE, 0)]
        for drafter in drafters:
            accepted, rejected = self._sums[drafter].tolist()
            if accepted + rejected >= _MIN_JUDGED:
                level = Level(step_s, accepted / (accepted + rejected))
                draft_s = self._drafting.drafters[drafter].pass_seconds(1)
                length = best_num_speculative_tokens(level, draft_s, MAX_TOKENS)
                found.append((cost_per_token(level, draft_s, length), drafter, length))
        _, drafter, length = min(found)
        return drafter, length


def with_new_drafter(
    drafting: Drafting,
    streams: Sequence[Stream],
    change_at: int,
    feedback: Feedback,
    pace: Pace,
) -> DraftingResult:
    """Return how soon the seconds of answers are those of the best drafter and block length.

    `feedback` is of outcomes here. In a share of requests idle drafters are scored too.
    """
    seconds = Seconds(drafting)
    options = [(name, k) for name in drafting.drafters for k in range(MAX_TOKENS + 1)]
    best = min(options, key=lambda one: seconds.mean(*one))
    taken = [_replayed(seconds, one, change_at, feedback, pace) for one in streams]
    ideal = [[seconds.of(row, *best) for row in one.rows[change_at:].tolist()] for one in streams]
    # Seconds are a loss: the shortfall of -seconds, as a share of the best policy's seconds.
    whole = np.array(ideal)
    found = recovery(2 * whole - np.stack(taken)[:, change_at:], whole)
    return DraftingResult(feedback.name, pace.scored_share, found, drafting.is_synthetic)


def _replayed(
    seconds: Seconds, stream: Stream, change_at: int, feedback: Feedback, pace: Pace
) -> Doubles:
    """Return the seconds of each answer."""
    drafting = seconds.drafting
    learner = AcceptanceLearner(drafting, pace.half_life)
    taken, plan = np.zeros(len(stream.rows)), (ALONE, 0)
    coming: deque[tuple[int, str, Flags]] = deque()
    names = list(drafting.drafters)
    for at, row in enumerate(stream.rows.tolist()):
        there = names if at >= change_at else names[:-1]
        while coming and coming[0][0] <= at:
            _, told, matches = coming.popleft()
            learner.learn(told, matches, at)
        if at % pace.refresh == 0:
            plan = learner.best(there)
        explored = stream.draws[at] < _EXPLORED
        drafter, length = (there[at % len(there)], _EXPLORED_TOKENS) if explored else plan
        taken[at] = seconds.of(row, drafter, length)
        if stream.rated[at] < feedback.share:
            scored = there if stream.flipped[at] < pace.scored_share else [drafter][: bool(length)]
            due = at + 1 + feedback.delay
            coming.extend((due, one, drafting.matches[one][row]) for one in scored)
    return taken
