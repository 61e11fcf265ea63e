"""Blocks from a drafter elsewhere: verify each, send the verdict, end exactly once."""

import asyncio

from services.verifier.answer import Answer
from services.verifier.opening import Opening
from services.verifier.report import Report
from tiercel import rpc
from tiercel.draft_stream import Resync
from tiercel.errors import InvalidRequest, PlanRefused
from tiercel.speculation.decoder import Decoder, Progress
from tiercel.speculation.link import NO_DRAFT, Draft
from tiercel.speculation.model_tier import ModelTier
from tiercel.types import FinishReason
from tiercel.v1 import drafter_pb2
from tiercel.v1 import verifier_pb2 as pb
from tiercel.wire.answers import committed_to_pb, end_to_pb
from tiercel.wire.draft import block_from_pb, resync_to_pb
from tiercel.wire.plans import MAX_SPECULATIVE_TOKENS


class Verification:
    """The verifier's end of one Verify stream."""

    def __init__(
        self,
        tier: ModelTier,
        opening: Opening,
        decoder: Decoder,
        outbox: rpc.Outbox[pb.VerifyResponse],
    ) -> None:
        if opening.plan.drafters:
            raise PlanRefused("plan.drafters must be empty: the drafter is the caller")
        if opening.request.draft_prefix is not None:
            why = "must be empty: the drafter is the caller"
            raise InvalidRequest("draft_prefix", opening.request.draft_prefix.tier, why)
        self._tier, self._opening, self._outbox = tier, opening, outbox
        self._decoder, self._session = decoder, decoder.session
        self._answer = Answer(tier.tokenizer, opening.stop, opening.committed_ids)
        self._report = Report(tier.name, len(opening.prompt_ids))

    async def work(self, inbox: rpc.Inbox[pb.VerifyRequest]) -> None:
        """Answer each block with a verdict until the answer or the caller ends."""
        try:
            async with asyncio.timeout_at(self._opening.request.deadline):
                reason = await self._answer_blocks(inbox)
        except TimeoutError:
            reason = FinishReason.DEADLINE
        if reason is None:
            return
        if (tail := self._answer.tail()) is not None:
            verdict = pb.Verdict(committed=committed_to_pb(tail))
            self._outbox.put(pb.VerifyResponse(verdict=verdict))
        reason = self._answer.reason or reason
        end = self._report.finished(reason, self._answer, self._decoder)
        self._outbox.put(pb.VerifyResponse(finished=end_to_pb(end)))

    async def _answer_blocks(self, inbox: rpc.Inbox[pb.VerifyRequest]) -> FinishReason | None:
        """Return why the answer is over; None if the caller left."""
        reason = self._answer.reason or await self._verify(NO_DRAFT)
        while reason is None:
            message = await inbox.get()
            if message is None:
                return None
            reason = await self._take(message)
        return reason

    async def _take(self, message: pb.VerifyRequest) -> FinishReason | None:
        kind = message.WhichOneof("message")
        if kind == "finish":
            return FinishReason.CANCELLED
        if kind == "block":
            return await self._take_block(message.block)
        if kind != "heartbeat":
            raise InvalidRequest("message", kind, "must be block or finish here")
        return None

    async def _take_block(self, message: drafter_pb2.DraftBlock) -> FinishReason | None:
        vocab_size = self._tier.runner.description.vocab_size
        block = block_from_pb(
            message,
            vocab_size=vocab_size,
            max_tokens=MAX_SPECULATIVE_TOKENS,
            evidence=self._session.evidence,
        )
        sequence = self._session.sequence
        here = len(sequence)
        if block.start_position != here or block.prefix_hash != sequence.hash_at(here):
            resync = Resync(block.epoch, here, sequence.hash_at(here))
            self._outbox.put(pb.VerifyResponse(resync=resync_to_pb(resync)))
            return None
        draft = Draft(block.token_ids, block.sources, block.probs, block.distributions)
        return await self._verify(draft)

    async def _verify(self, draft: Draft) -> FinishReason | None:
        most = min(self._answer.num_left, self._session.room) - 1
        if most < 0:
            return FinishReason.LENGTH
        verified = await self._session.verify(draft.part(most), self._opening.num_top_logprobs)
        assert verified is not None, "nobody else changes this sequence"
        sources = (*draft.sources[: verified.num_accepted], self._tier.name)
        version = self._opening.plan.version
        progress = Progress(verified, sources[: len(verified.token_ids)], version)
        committed = self._answer.take(progress)
        self._report.committed(progress, committed)
        # Tokens behind a stop were right, but are no part of the answer.
        num_accepted = min(verified.num_accepted, len(committed.token_ids))
        verdict = pb.Verdict(num_accepted=num_accepted, committed=committed_to_pb(committed))
        self._outbox.put(pb.VerifyResponse(verdict=verdict))
        return self._answer.reason
