"""One drafter's stream: in the parent's own vocabulary, or through a bridge if it has another."""

import asyncio
import sys

import grpc
import structlog

from tiercel.draft_stream import Judgement, TokenSequence
from tiercel.errors import TiercelError, Unavailable
from tiercel.speculation.bridged_sequence import BridgedSequence, BridgeEnds
from tiercel.speculation.draft_stream_client import Arrival, DraftStreamClient, Owner
from tiercel.speculation.hidden_states import HiddenFeed
from tiercel.speculation.link import NO_DRAFT, Draft
from tiercel.speculation.request import Request
from tiercel.speculation.translators import Translators
from tiercel.types import PairStats, Plan, TierStats

log = structlog.get_logger(__name__)

# A drafter that says now this of its tokenizer and now that is given up.
_MOST_SWITCHES = 3


class DrafterStream:
    """A draft stream that is opened in the parent's vocabulary, and bridged if that is refused.

    To its owner it looks like a `DraftStreamClient` of the parent's own vocabulary.
    """

    def __init__(
        self,
        plan: Plan,
        request: Request,
        sequence: TokenSequence,
        channel: grpc.aio.Channel,
        owner: Owner,
        hidden: HiddenFeed,
        translators: Translators,
    ) -> None:
        """Start connecting; through a bridge at once where one was needed before."""
        self._plan, self._request, self._sequence = plan, request, sequence
        self._channel, self._owner, self._hidden = channel, owner, hidden
        self._translators = translators
        self._bridged: BridgedSequence | None = None
        self._num_switches, self._is_refused = 0, False
        self._rejected_from: int | None = None  # position, and since the last advance
        self._is_judged = False  # what the client is about to judge was judged across the bridge
        self._switching: asyncio.Task[None] | None = None
        self._client: DraftStreamClient | None = None
        if translators.is_needed(plan.address):
            self.mismatched("")
        else:
            self._connect(request, sequence)

    @property
    def is_open(self) -> bool:
        """Whether the drafter answered, and the stream lives."""
        return self._client is not None and self._client.is_open

    @property
    def is_over(self) -> bool:
        """Whether it has given up: the drafter refused what trying again cannot mend."""
        return self._is_refused or (self._client is not None and self._client.is_over)

    @property
    def is_exhausted(self) -> bool:
        """Whether the drafter has nothing more to propose, before it is told more."""
        if self._client is None:
            return False
        # A block that says nothing to the parent is all that comes: no other answers the same.
        is_useless = self._bridged is not None and not self.draft(1).token_ids
        return self._client.is_exhausted or (is_useless and bool(self._run.token_ids))

    @property
    def below(self) -> tuple[list[PairStats], list[TierStats]]:
        """What the drafter and the tiers below it did, as far as it told."""
        return self._client.below if self._client is not None else ([], [])

    def draft(self, most: int) -> Draft:
        """Return at most `most` tokens after the parent's sequence; none if it lags behind."""
        if self._client is None:
            return NO_DRAFT
        if self._bridged is None:
            return self._client.draft(most)
        if not self._bridged.is_synced:
            return NO_DRAFT
        return self._bridged.translated(self._run, most)

    def advance(self, num_wanted: int, num_ahead: int, compute_s: float) -> bool:
        """Tell an open drafter what is committed by now; arguments as a `DraftStreamClient` has.

        Through a bridge, tokens that are wanted are the drafter's.
        """
        client = self._client
        assert client is not None, "only an open drafter is asked"
        if self._bridged is not None:
            synced = self._bridged.sync(self._run.token_ids, self._rejected_from)
            client.cut(synced.keep_length)
            if synced.rejected_from is not None:
                client.rejected(synced.rejected_from)
            if synced.judgement is not None:
                self._owner.judged(synced.judgement)
        self._rejected_from, self._is_judged = None, self._bridged is not None
        try:
            return client.advance(num_wanted, num_ahead, compute_s)
        finally:
            self._is_judged = False

    def rejected(self, position: int) -> None:
        """Note that of what `draft` returned, the tokens from `position` on were rejected."""
        self._rejected_from = position
        if self._bridged is None and self._client is not None:
            self._client.rejected(position)

    def cut(self, length: int) -> None:
        """Note that the parent's sequence was cut; the drafter learns it with the next Advance."""
        if self._bridged is not None:
            length = self._bridged.cut(length)
        if self._client is not None:
            self._client.cut(length)

    def replan(self, plan: Plan) -> None:
        """Pass a new plan for the same drafter on; it takes effect at its next block."""
        self._plan = plan
        if self._client is not None:
            self._client.replan(plan)

    async def close(self) -> None:
        """End the stream."""
        self._hidden.close()
        if self._switching is not None:
            self._switching.cancel()
            await asyncio.wait({self._switching})
        if self._client is not None:
            await self._client.close()

    def mismatched(self, reason: str) -> None:
        """Build a bridge: the drafter refused ids of the vocabulary that the stream had."""
        self._client = self._bridged = None
        self._num_switches += 1
        if self._num_switches > _MOST_SWITCHES:
            self._refuse(reason)
        else:
            self._switching = asyncio.create_task(self._switch(reason))
            self._switching.add_done_callback(self._failed)

    def opening(self) -> None:
        """Note that a stream is opened, perhaps anew."""
        self._owner.opening()

    def changed(self, *, is_opened: bool = False) -> None:
        """Note that something may be new."""
        self._owner.changed(is_opened=is_opened)

    def arrived(self, arrival: Arrival) -> None:
        """Note that a block came."""
        self._owner.arrived(arrival)

    def judged(self, judgement: Judgement) -> None:
        """Pass on what became of a block: one that came too late counts in the drafter's tokens."""
        if not self._is_judged:
            self._owner.judged(judgement)

    def lost(self, path: tuple[str, ...], reason: str, *, unreachable: bool) -> None:
        """Note that this drafter (an empty path), or one below it, was lost."""
        self._owner.lost(path, reason, unreachable=unreachable)

    @property
    def _run(self) -> Draft:
        """What the drafter drafted, in its own tokens."""
        return self._client.draft(sys.maxsize) if self._client is not None else NO_DRAFT

    async def _switch(self, reason: str) -> None:
        """Find out which vocabulary the drafter has, and connect in that."""
        prompt_ids = self._sequence.tokens(0, self._request.num_prompt_tokens)
        try:
            ends = await self._translators.ends(
                self._channel, self._plan.address, self._request, prompt_ids
            )
        except Unavailable as error:
            self._owner.lost((), str(error), unreachable=True)
            self._connect(self._request, self._sequence)  # which goes on trying
        except TiercelError as error:
            self._refuse(f"{self._plan.tier} has another tokenizer: {error}")
        else:
            self._bridge(ends)

    def _bridge(self, ends: BridgeEnds | None) -> None:
        if ends is None:
            self._connect(self._request, self._sequence)
            return
        self._hidden.close()  # their positions are those of the parent's tokens
        self._bridged = BridgedSequence(ends, self._request, self._sequence)
        self._connect(self._bridged.request, self._bridged.shadow)

    def _connect(self, request: Request, sequence: TokenSequence) -> None:
        self._client = DraftStreamClient(
            self._plan, request, sequence, self._channel, self, self._hidden, self.mismatched
        )

    def _refuse(self, reason: str) -> None:
        self._is_refused = True
        self._owner.lost((), reason, unreachable=False)

    def _failed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a bridge to a drafter failed", exc_info=error)
            self._refuse("internal error")
