"""A drafter elsewhere: when it is asked and for how many tokens, from what it costs and brings."""

import sys
import time

import grpc

from tiercel.draft_stream import Judgement, TokenSequence
from tiercel.speculation.draft_stream_client import Arrival
from tiercel.speculation.drafter_records import Proposals
from tiercel.speculation.drafter_stream import DrafterStream
from tiercel.speculation.hidden_states import HiddenFeed
from tiercel.speculation.length import Costs, Length
from tiercel.speculation.link import NO_DRAFT, Draft, Round
from tiercel.speculation.pace import Pace
from tiercel.speculation.request import Observer, Request
from tiercel.speculation.statistics import count_judgement
from tiercel.speculation.translators import Translators
from tiercel.types import PairStats, Plan, TierStats


class RemoteLink:
    """One drafter of one request, at the other end of a draft stream."""

    def __init__(
        self,
        plan: Plan,
        request: Request,
        sequence: TokenSequence,
        channel: grpc.aio.Channel,
        observer: Observer,
        hidden: HiddenFeed,
        translators: Translators,
    ) -> None:
        """Start connecting; `sequence` is the parent's: it is read, and never changed."""
        self.plan = plan
        self._request, self._sequence, self._observer = request, sequence, observer
        self._pair = PairStats(plan.tier, request.parent)
        self._pace = Pace(opened_at=time.monotonic(), always=request.always_draft)
        self._length, self._num_wanted = Length(), plan.num_speculative_tokens
        self._ahead = request.ahead(plan.address)
        self._stream = DrafterStream(plan, request, sequence, channel, self, hidden, translators)

    @property
    def is_open(self) -> bool:
        """Whether the drafter answered, and the stream lives."""
        return self._stream.is_open

    @property
    def is_over(self) -> bool:
        """Whether the link has given up: the drafter refused what trying again cannot mend."""
        return self._stream.is_over

    @property
    def num_unattended(self) -> int:
        """Tokens that the parent may decode without looking here; it is told of any change."""
        if not self.is_open:
            return sys.maxsize
        return self._pace.num_resting(len(self._sequence))

    def ask(self, costs: Costs, most: int) -> None:
        """Tell the drafter what the parent's sequence is by now, and ask for what pays.

        That is at most `most` tokens. If nothing pays the drafter is left alone, and told nothing.
        """
        # Before it has answered, what it is told may only meet its refusal.
        if not self.is_open or not self._is_asked:
            return
        self._num_wanted = min(most, self.plan.num_speculative_tokens)
        if not self._request.always_draft:
            self._num_wanted = self._length.choose(
                costs, self._num_wanted, on_trial=self._pace.is_on_trial
            )
        if not self._num_wanted:
            self._pace.rest(len(self._sequence))
            self._length.rested()
        elif self._stream.advance(self._num_wanted, self._ahead.num_tokens, costs.last_s):
            self._pace.asked(time.monotonic())

    def draft(self) -> Draft:
        """Return what the drafter proposes after the sequence; nothing if it lags behind."""
        return self._stream.draft(self._num_wanted) if self._is_asked else NO_DRAFT

    def follow(self, costs: Costs) -> None:
        """Wait to be asked: messages are for the event loop."""

    def wait_until(self, costs: Costs) -> float | None:
        """Return up to when waiting for a block pays; None if it does not."""
        if not self.is_open or self._stream.is_exhausted or not self._is_asked:
            return None
        plain_s = costs.steps.plain_s
        if not self._pace.pays(plain_s, self._num_wanted + 1):
            return None
        self._pace.asked(time.monotonic())
        return self._pace.wait_until(costs.prefill_s, plain_s)

    def heard(self, draft: Draft) -> None:
        """Note what was there when a pass began, if the drafter was asked."""
        if self.is_open and self._is_asked:
            proposals = Proposals()
            proposals.note(self._num_wanted, len(draft.token_ids))
            self._request.records.proposed(self.plan.tier, proposals)

    def late(self) -> None:
        """Note that the parent does not wait any longer for this block."""
        self._pair.num_late += 1

    def round(self, round: Round) -> None:
        """Note what it took to wait for a block and verify it, and how many tokens that brought."""
        self._pace.round(round.seconds, round.num_tokens, round.plain_s, len(self._sequence))
        if num_drafted := len(round.draft.token_ids):
            self._ahead.round(round.seconds, num_drafted, self._length.acceptance_rate)

    def rejected(self, position: int) -> None:
        """Note that of the last draft the tokens from `position` on were rejected."""
        self._stream.rejected(position)

    def cut(self, length: int) -> None:
        """Note that the parent's sequence was cut; the drafter learns it when it is asked next."""
        self._stream.cut(length)

    def replan(self, plan: Plan) -> None:
        """Pass a new plan for the same drafter on; it takes effect at its next block."""
        self.plan = plan
        self._stream.replan(plan)

    def stats(self) -> tuple[list[PairStats], list[TierStats]]:
        """Return what this drafter and the tiers below it did."""
        pairs, tiers = self._stream.below
        return [self._pair, *pairs], tiers

    async def close(self) -> None:
        """End the stream."""
        await self._stream.close()

    def opening(self) -> None:
        """Note that a stream is opened, perhaps anew; what is known of the drafter stays."""
        self._pace.reopened(time.monotonic())

    def changed(self, *, is_opened: bool = False) -> None:
        """Note that there may be something new to draft with, or nothing any more."""
        if is_opened:
            self._pace.asked(time.monotonic())
        self._observer.changed()

    def arrived(self, arrival: Arrival) -> None:
        """Note that a block came."""
        if arrival.is_awaited:
            latency_s = self._pace.arrived(time.monotonic())
            if latency_s is not None and arrival.num_tokens:
                self._length.arrived(latency_s, arrival.compute_s, arrival.num_tokens)
                self._request.records.drafted(
                    self.plan.tier, arrival.num_tokens, arrival.compute_s, latency_s
                )
        self._pair.draft_compute_s += arrival.compute_s

    def judged(self, judgement: Judgement) -> None:
        """Note what became of tokens of the drafter's."""
        self._length.judged(judgement.num_accepted, judgement.num_rejected)
        count_judgement(self._pair, judgement)
        self._request.records.judged(self.plan.tier, judgement)

    def lost(self, path: tuple[str, ...], reason: str, *, unreachable: bool) -> None:
        """Tell the parent that this drafter, or one below it, was lost, and why."""
        self._observer.lost((self.plan.tier, *path), reason, unreachable)

    @property
    def _is_asked(self) -> bool:
        return self._pace.is_asked(len(self._sequence))
