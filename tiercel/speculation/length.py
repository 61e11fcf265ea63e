"""How many tokens to ask of one drafter: as many as make a token cheapest, none if none pays. Pure.

The formula is `tiercel.decoding.chain_cost`'s; what goes into it was measured in this session.
"""

from dataclasses import dataclass
from math import inf

from tiercel.decoding import Level, best_num_speculative_tokens, cost_per_token
from tiercel.speculation.step_times import StepTimes

# Of what was known, after one more block.
_KEPT = 0.92
# What to think of a drafter before its first block: judged tokens, and the share that stands.
_PRIOR_TOKENS, _PRIOR_RATE = 3.0, 0.7
# To begin with drafting again it has to bring so much; to stop it has to cost so much.
_WORTH_STARTING, _WORTH_STOPPING = 0.95, 1.02
# Another length has to be cheaper by so much before it is taken.
_WORTH_CHANGING = 0.97
# What a drafter is asked for as long as nothing is known of its speed.
_TRIAL = 2
# What further drafts of one place may cost together, in passes.
_WORTH_A_BRANCH = 0.02


@dataclass(frozen=True)
class Costs:
    """What a parent's next pass costs, as far as it is known."""

    steps: StepTimes
    left_s: float  # may be lost, if a block proves useless
    sharing: int = 1  # sessions with tokens in a pass: a further token of one delays them all
    last_s: float = 0.0  # that the last pass took
    prefill_s: float = 0.0  # that the first one took
    takes_trees: bool = False  # it may verify several drafts

    def takes(self, num_more: int) -> bool:
        """Return whether a draft beside another is worth so many tokens more in the pass.

        It seldom adds a token (`python -m bench.trees`), so only where tokens cost next to nothing.
        """
        more_s = num_more * self.steps.row_s * self.sharing
        is_cheap = more_s <= _WORTH_A_BRANCH * self.steps.plain_s
        return self.takes_trees and (is_cheap or self.left_s == inf)


class Length:
    """Follows one drafter's acceptance and speed, and says how long its blocks should be."""

    def __init__(self) -> None:
        self._num_accepted = _PRIOR_TOKENS * _PRIOR_RATE
        self._num_judged = _PRIOR_TOKENS
        self._draft_s: float | None = None  # for a token
        self._round_trip_s = 0.0  # for a block, beside its tokens
        self._number = 0  # that was chosen last

    @property
    def acceptance_rate(self) -> float:
        """The share of judged tokens that stood, the newest ones weighing most."""
        return self._num_accepted / self._num_judged

    def judged(self, num_accepted: int, num_rejected: int) -> None:
        """Note what became of a block."""
        self._num_accepted = _KEPT * self._num_accepted + num_accepted
        self._num_judged = _KEPT * self._num_judged + num_accepted + num_rejected

    def rested(self) -> None:
        """Let what was known of its acceptance count for little: the next blocks decide."""
        self._num_accepted /= self._num_judged
        self._num_judged = 1.0

    def arrived(self, latency_s: float, compute_s: float, num_tokens: int) -> None:
        """Note how long a block took to come, and what of that its drafter says it computed."""
        draft_s = min(compute_s, latency_s) / max(1, num_tokens)
        round_trip_s = max(0.0, latency_s - num_tokens * draft_s)
        if self._draft_s is None:
            self._draft_s, self._round_trip_s = draft_s, round_trip_s
            return
        self._draft_s += (1 - _KEPT) * (draft_s - self._draft_s)
        self._round_trip_s += (1 - _KEPT) * (round_trip_s - self._round_trip_s)

    def choose(self, costs: Costs, most: int, *, on_trial: bool) -> int:
        """Return how many tokens to ask for, at most `most`; 0 is plain decoding.

        `on_trial` at least one is asked for, if there is time for it, so that something is learned.
        """
        if self._draft_s is None:
            return min(most, _TRIAL)
        most = self._affordable(costs, most)
        if most == 0:
            return 0
        level = self._level(costs)
        best = best_num_speculative_tokens(level, self._draft_s, most)
        self._number = max(best, 1) if on_trial else self._steady(level, best, most)
        return self._number

    def _affordable(self, costs: Costs, most: int) -> int:
        token_s = (self._draft_s or 0.0) + costs.steps.row_s
        spare_s = max(0.0, costs.left_s - self._round_trip_s)
        return min(most, int(spare_s / token_s)) if most * token_s > spare_s else most

    def _steady(self, level: Level, best: int, most: int) -> int:
        """Return `best`, or what was chosen last where the two hardly differ."""
        draft_s, last = self._draft_s or 0.0, min(self._number, most)
        plain_s, best_s = level.step_s(1), cost_per_token(level, draft_s, best)
        if last == 0:
            return best if best_s < _WORTH_STARTING * plain_s else 0
        last_s = cost_per_token(level, draft_s, last)
        if best == 0:
            return 0 if last_s > _WORTH_STOPPING * plain_s else last
        return best if best_s < _WORTH_CHANGING * last_s else last

    def _level(self, costs: Costs) -> Level:
        plain_s, row_s = costs.steps.plain_s, costs.steps.row_s * costs.sharing
        return Level(
            lambda num_tokens: plain_s + row_s * (num_tokens - 1),
            self.acceptance_rate,
            self._round_trip_s,
        )
