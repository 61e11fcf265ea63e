"""One draft stream: follows the parent's messages, keeps the proposer at work, sends blocks."""

import asyncio

from tiercel import rpc
from tiercel.draft_stream import Advance, DrafterSide, Origin, Resync, TokenSequence
from tiercel.errors import InvalidRequest
from tiercel.plan_rules import check_newer
from tiercel.speculation.proposer import Proposal, Proposer, StatesProposer
from tiercel.types import Evidence, Plan
from tiercel.v1 import drafter_pb2 as pb
from tiercel.wire.draft import (
    DraftOpening,
    advance_from_pb,
    block_to_pb,
    resync_to_pb,
    states_from_pb,
)
from tiercel.wire.plans import evidence_from_pb, plan_from_pb
from tiercel.wire.results import pair_to_pb, tier_to_pb, to_ns


class DraftSession:
    """The drafter's end of one stream; `follow` and `work` run side by side until it ends."""

    def __init__(
        self,
        opening: DraftOpening,
        proposer: Proposer,
        outbox: rpc.Outbox[pb.DraftResponse],
        *,
        vocab_size: int,
        hidden_size: int = 0,
    ) -> None:
        self._proposer, self._outbox, self._vocab_size = proposer, outbox, vocab_size
        self._hidden_size = hidden_size  # of the parent's states, if the proposer wants them
        self._stop_ids = opening.stop_token_ids
        self._num_prompt_tokens = opening.num_prompt_tokens
        self._plan_version, self._evidence = opening.plan.version, opening.evidence
        self._side = DrafterSide(
            TokenSequence(opening.prefix.token_ids),
            max_tokens_ahead=opening.max_tokens_ahead,
            num_speculative_tokens=opening.plan.num_speculative_tokens,
        )
        self._last_length = len(self._side.sequence) + opening.max_new_tokens
        self._paused = False  # nothing more to say before the parent moves
        self._compute_s = 0.0  # not yet reported
        self._moved = asyncio.Event()

    async def follow(self, inbox: rpc.Inbox[pb.DraftRequest]) -> None:
        """Take the parent's messages until it finishes or goes away."""
        while (message := await inbox.get()) is not None:
            kind = message.WhichOneof("message")
            if kind == "finish":
                return
            if kind == "advance":
                self._advance(message.advance)
            elif kind == "replan":
                self._replan(plan_from_pb(message.replan))
            elif kind != "heartbeat":
                raise InvalidRequest("message", kind, "must be advance, replan or finish here")

    async def work(self) -> None:
        """Propose tokens wherever there is room, and send them as blocks."""
        while True:
            # A proposer without a model never waits by itself, and the loop has others to serve.
            await asyncio.sleep(0)
            while not self._wanted:
                self._moved.clear()
                await self._moved.wait()
            if self._ended:
                self._send(num_held=0)
                self._paused = True
                continue
            proposal = await self._proposer.propose(self._num_missing)
            if proposal is not None:
                self._take(proposal)

    @property
    def _wanted(self) -> bool:
        return not self._paused and self._num_missing > 0

    @property
    def _num_missing(self) -> int:
        side = self._side
        return min(side.room, side.num_speculative_tokens - side.num_unsent)

    @property
    def _ended(self) -> bool:
        sequence = self._side.sequence
        return len(sequence) >= self._last_length or sequence.last() in self._stop_ids

    def _advance(self, message: pb.Advance) -> None:
        advance = advance_from_pb(message, vocab_size=self._vocab_size)
        truth_length = advance.keep_length + len(advance.token_ids)
        self._check_prompt_stays(advance, truth_length)
        self._check_evidence(message)
        applied = self._side.on_advance(advance)
        if isinstance(applied, Resync):
            self._outbox.put(pb.DraftResponse(resync=resync_to_pb(applied)))
            return
        if applied.cut_length is not None:
            self._check_prompt_stays(advance, applied.cut_length)
            self._proposer.cut(applied.cut_length)
        if applied.token_ids:
            self._proposer.append(applied.token_ids)
        if isinstance(self._proposer, StatesProposer):
            states = states_from_pb(message, hidden_size=self._hidden_size)
            self._proposer.take_states(truth_length - 1, states)
        self._paused = False
        self._moved.set()
        if self._side.num_unsent and self._num_missing <= 0:
            # Fewer are asked for than wait here already, or there is no credit for more.
            self._send(num_held=0)

    def _check_prompt_stays(self, advance: Advance, length: int) -> None:
        if length < self._num_prompt_tokens:
            raise InvalidRequest("advance.keep_length", advance.keep_length, "cuts the prompt")

    def _check_evidence(self, message: pb.Advance) -> None:
        evidence = evidence_from_pb(message.evidence)
        if message.evidence and evidence is not self._evidence:
            why = f"the stream was opened for {self._evidence.value}: open another"
            raise InvalidRequest("advance.evidence", evidence.value, why)

    def _replan(self, plan: Plan) -> None:
        check_newer(plan, self._plan_version)
        self._proposer.replan(plan)
        self._plan_version = plan.version

    def _take(self, proposal: Proposal) -> None:
        side = self._side
        asked = self._evidence is not Evidence.NONE
        origins = proposal.origins() if asked else [Origin(one) for one in proposal.sources]
        side.propose(proposal.token_ids, origins)
        self._compute_s += proposal.compute_s
        if proposal.num_unsure is not None:
            self._send(num_held=proposal.num_unsure)
            self._paused = True
        elif self._num_missing <= 0 or self._ended:
            self._send(num_held=0)
            self._paused = self._ended

    def _send(self, *, num_held: int) -> None:
        message = block_to_pb(self._side.block(num_held))
        message.compute_ns = to_ns(self._compute_s)
        message.plan_version = self._plan_version
        pairs, tiers = self._proposer.stats()
        message.pairs.extend(pair_to_pb(pair) for pair in pairs)
        message.tiers.extend(tier_to_pb(tier) for tier in tiers)
        self._compute_s = 0.0
        self._outbox.put(pb.DraftResponse(block=message))
