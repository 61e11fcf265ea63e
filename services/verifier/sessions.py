"""Opens the sessions of a verifier, one for each stream, and sees to it that each one ends."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing

from services.verifier.generation import Generation
from services.verifier.opening import Opening, admitted
from services.verifier.verification import Verification
from tiercel import rpc
from tiercel.errors import InvalidRequest
from tiercel.speculation.decoder import Decoder
from tiercel.speculation.model_tier import ModelTier
from tiercel.speculation.request import Lost
from tiercel.v1 import decoding_pb2
from tiercel.v1 import verifier_pb2 as pb
from tiercel.wire.requests import TokenIds, token_ids_to_pb
from tiercel.wire.sessions import holds_tokens, join_committed, open_from_pb


class Sessions:
    """The Generate and Verify streams of one model tier."""

    def __init__(self, tier: ModelTier) -> None:
        self._tier = tier

    async def generate(
        self, requests: AsyncIterator[pb.VerifierGenerateRequest], deadline: float
    ) -> AsyncGenerator[pb.VerifierGenerateResponse, None]:
        """Yield an answer; `deadline` is on the event loop's clock."""
        inbox = rpc.Inbox(requests, interval_s=self._tier.habits.heartbeat_s)
        outbox = rpc.Outbox(
            _generate_heartbeat,
            interval_s=self._tier.habits.heartbeat_s,
            join=join_committed,
            grows=holds_tokens,
            gap_s=self._tier.habits.message_gap_s,
        )

        def lost(path: tuple[str, ...], reason: str, unreachable: bool) -> None:
            message = decoding_pb2.DrafterLost(path=path, reason=reason, unreachable=unreachable)
            outbox.put(pb.VerifierGenerateResponse(drafter_lost=message))

        with inbox, self._tier.slots.taken():
            opening = await self._opening(await inbox.get(), deadline)
            async with self._decoder(opening, lost) as decoder:
                outbox.put(pb.VerifierGenerateResponse(opened=self._opened(opening)))
                session = Generation(self._tier, opening, decoder, outbox)
                work = (session.follow(inbox), session.work())
                async with aclosing(rpc.exchange(outbox, *work)) as messages:
                    async for message in messages:
                        yield message

    async def verify(
        self, requests: AsyncIterator[pb.VerifyRequest], deadline: float
    ) -> AsyncGenerator[pb.VerifyResponse, None]:
        """Yield the verdicts on a drafter's blocks; `deadline` as for `generate`."""
        inbox = rpc.Inbox(requests, interval_s=self._tier.habits.heartbeat_s)
        outbox = rpc.Outbox(_verify_heartbeat, interval_s=self._tier.habits.heartbeat_s)
        with inbox, self._tier.slots.taken():
            opening = await self._opening(await inbox.get(), deadline)
            async with self._decoder(opening, lambda *_: None) as decoder:
                session = Verification(self._tier, opening, decoder, outbox)
                outbox.put(pb.VerifyResponse(opened=self._opened(opening)))
                async with aclosing(rpc.exchange(outbox, session.work(inbox))) as messages:
                    async for message in messages:
                        yield message

    def _decoder(self, opening: Opening, lost: Lost) -> AbstractAsyncContextManager[Decoder]:
        return self._tier.decoder(opening.prefix, opening.plan, opening.request, lost)

    async def _opening(
        self, message: pb.VerifierGenerateRequest | pb.VerifyRequest | None, deadline: float
    ) -> Opening:
        kind = message.WhichOneof("message") if message else None
        if message is None or kind != "open":
            raise InvalidRequest("message", kind, "the first message must be open")
        asked = open_from_pb(message.open, eos_ids=self._tier.tokenizer.eos_ids)
        return await admitted(self._tier, *asked, deadline)

    def _opened(self, opening: Opening) -> pb.GenerateOpened:
        prompt = TokenIds(opening.prompt_ids, self._tier.tokenizer.fingerprint)
        return pb.GenerateOpened(
            prompt=token_ids_to_pb(prompt),
            tier=self._tier.name,
            numerics_id=self._tier.runner.description.numerics_id,
        )


def _generate_heartbeat(sequence: int) -> pb.VerifierGenerateResponse:
    return pb.VerifierGenerateResponse(heartbeat=decoding_pb2.Heartbeat(sequence=sequence))


def _verify_heartbeat(sequence: int) -> pb.VerifyResponse:
    return pb.VerifyResponse(heartbeat=decoding_pb2.Heartbeat(sequence=sequence))
