"""One answer: steps the decoder, sends what is committed, ends exactly once."""

import asyncio

from services.verifier.answer import Answer
from services.verifier.opening import Opening
from services.verifier.report import Report
from tiercel import rpc
from tiercel.constraints import check_rule
from tiercel.errors import InvalidRequest
from tiercel.replies import Committed
from tiercel.rules import check_not_laxer
from tiercel.speculation.decoder import Decoder
from tiercel.speculation.model_tier import ModelTier
from tiercel.types import FinishReason
from tiercel.v1 import verifier_pb2 as pb
from tiercel.wire.answers import committed_to_pb, end_to_pb
from tiercel.wire.plans import plan_from_pb


class Generation:
    """The verifier's end of one Generate stream; `follow` and `work` run side by side."""

    def __init__(
        self,
        tier: ModelTier,
        opening: Opening,
        decoder: Decoder,
        outbox: rpc.Outbox[pb.VerifierGenerateResponse],
    ) -> None:
        self._tier, self._opening, self._decoder, self._outbox = tier, opening, decoder, outbox
        self._answer = Answer(tier.tokenizer, opening.stop, opening.committed_ids)
        self._cancelled = asyncio.Event()
        self._report = Report(tier.name, len(opening.prompt_ids))

    async def follow(self, inbox: rpc.Inbox[pb.VerifierGenerateRequest]) -> None:
        """Take the caller's messages until it goes away."""
        while (message := await inbox.get()) is not None:
            kind = message.WhichOneof("message")
            if kind == "replan":
                self._replan(message)
            elif kind == "finish":
                self._cancelled.set()
            elif kind != "heartbeat":
                raise InvalidRequest("message", kind, "must be replan or finish here")
        # The caller has no more to say, and still reads the answer from `work`. One that is gone
        # looks alike here: then gRPC cancels the whole call.
        await asyncio.Event().wait()

    async def work(self) -> None:
        """Answer; the last message says why it ended and what it used."""
        try:
            async with asyncio.timeout_at(self._opening.request.deadline):
                reason = await self._decode()
        except TimeoutError:
            reason = FinishReason.DEADLINE
        if (tail := self._answer.tail()) is not None:
            self._send(tail)
        # Text that the end released may hold a stop string.
        reason = self._answer.reason or reason
        end = self._report.finished(reason, self._answer, self._decoder)
        self._outbox.put(pb.VerifierGenerateResponse(finished=end_to_pb(end)))

    async def _decode(self) -> FinishReason:
        """Commit tokens until there is a reason to end; return it."""
        while self._answer.reason is None:
            if self._cancelled.is_set():
                return FinishReason.CANCELLED
            if self._decoder.session.room <= 0:
                return FinishReason.LENGTH
            progress = await self._decoder.step(
                self._answer.num_left, self._opening.num_top_logprobs
            )
            if progress is not None:
                committed = self._answer.take(progress)
                self._report.committed(progress, committed)
                self._send(committed)
        return self._answer.reason

    def _replan(self, message: pb.VerifierGenerateRequest) -> None:
        plan = plan_from_pb(message.replan)
        self._tier.check_plan(plan)
        check_rule(plan.acceptance, self._opening.request.constraint)
        check_not_laxer(plan.acceptance, self._opening.plan.acceptance)
        self._decoder.replan(plan)

    def _send(self, committed: Committed) -> None:
        self._outbox.put(pb.VerifierGenerateResponse(committed=committed_to_pb(committed)))
