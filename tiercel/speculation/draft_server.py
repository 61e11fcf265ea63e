"""Serves draft streams: admission, the opening, the session, its end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass

from tiercel import rpc
from tiercel.errors import DeadlineExceeded, InvalidRequest, TokenizerMismatch
from tiercel.speculation.draft_session import DraftSession
from tiercel.speculation.proposer import Proposer
from tiercel.speculation.request import Lost
from tiercel.speculation.slots import Slots
from tiercel.v1 import decoding_pb2
from tiercel.v1 import drafter_pb2 as pb
from tiercel.wire.draft import DraftOpening, check_ids, opening_from_pb


@dataclass(frozen=True)
class Drafts:
    """What a tier says of the drafts that it serves; empty or 0 takes any vocabulary."""

    tier: str
    numerics_id: str = ""
    tokenizer_fingerprint: str = ""
    vocab_size: int = 0
    hidden_size: int = 0  # of the parent's hidden states that are wanted
    hidden_digest: str = ""  # and of which weights
    heartbeat_s: float = 2.0


class DraftServer:
    """Serves any number of draft streams, each with a proposer of its own."""

    def __init__(
        self,
        drafts: Drafts,
        slots: Slots,
        opener: Callable[[DraftOpening, float, Lost], AbstractAsyncContextManager[Proposer]],
    ) -> None:
        """`opener` makes the proposer for an opening, with the stream's deadline (loop time)."""
        self._drafts, self._slots, self._opener = drafts, slots, opener
        self._outboxes: set[rpc.Outbox[pb.DraftResponse]] = set()

    async def responses(
        self, requests: AsyncIterator[pb.DraftRequest], *, deadline: float
    ) -> AsyncGenerator[pb.DraftResponse, None]:
        """Yield what goes up one stream until it ends, at the latest at `deadline` (loop time).

        Raises Overloaded, InvalidRequest, TokenizerMismatch, DeadlineExceeded.
        """
        inbox = rpc.Inbox(requests, interval_s=self._drafts.heartbeat_s)
        with inbox, self._slots.taken():
            opening = await self._opening(inbox)
            async with self._session(opening, deadline) as (session, outbox):
                outbox.put(pb.DraftResponse(opened=self._opened()))
                work = (session.follow(inbox), session.work(), _expire(deadline))
                async with aclosing(rpc.exchange(outbox, *work)) as messages:
                    async for message in messages:
                        yield message

    def leave(self, reason: str) -> None:
        """Tell every parent that no more blocks will come."""
        for outbox in self._outboxes:
            outbox.put(pb.DraftResponse(go_away=pb.GoAway(reason=reason)))

    async def _opening(self, inbox: rpc.Inbox[pb.DraftRequest]) -> DraftOpening:
        message = await inbox.get()
        kind = message.WhichOneof("message") if message else None
        if message is None or kind != "open":
            raise InvalidRequest("message", kind, "the first message must be open")
        opening = opening_from_pb(message.open)
        self._check(opening)
        return opening

    def _check(self, opening: DraftOpening) -> None:
        drafts, prefix = self._drafts, opening.prefix
        own = drafts.tokenizer_fingerprint
        if own and prefix.tokenizer_fingerprint != own:
            theirs = prefix.tokenizer_fingerprint
            raise TokenizerMismatch(f"{drafts.tier} has tokenizer {own}, the prefix {theirs!r}")
        check_ids("open.prefix.token_ids", prefix.token_ids, drafts.vocab_size)
        check_ids("open.stop_token_ids", tuple(opening.stop_token_ids), drafts.vocab_size)
        if opening.plan.tier != drafts.tier:
            raise InvalidRequest("open.plan.tier", opening.plan.tier, f"this is {drafts.tier}")

    @asynccontextmanager
    async def _session(
        self, opening: DraftOpening, deadline: float
    ) -> AsyncIterator[tuple[DraftSession, rpc.Outbox[pb.DraftResponse]]]:
        outbox = rpc.Outbox(_heartbeat, interval_s=self._drafts.heartbeat_s)

        def lost(path: tuple[str, ...], reason: str, unreachable: bool) -> None:
            # The parent knows this tier by itself: the path begins below it.
            message = decoding_pb2.DrafterLost(
                path=path[1:], reason=reason, unreachable=unreachable
            )
            outbox.put(pb.DraftResponse(drafter_lost=message))

        self._outboxes.add(outbox)
        try:
            async with self._opener(opening, deadline, lost) as proposer:
                session = DraftSession(
                    opening,
                    proposer,
                    outbox,
                    vocab_size=self._drafts.vocab_size,
                    hidden_size=self._drafts.hidden_size,
                )
                yield session, outbox
        finally:
            self._outboxes.discard(outbox)

    def _opened(self) -> pb.DraftOpened:
        drafts = self._drafts
        return pb.DraftOpened(
            tier=drafts.tier,
            numerics_id=drafts.numerics_id,
            hidden_size=drafts.hidden_size,
            hidden_digest=drafts.hidden_digest,
        )


async def _expire(deadline: float) -> None:
    await asyncio.sleep(deadline - asyncio.get_running_loop().time())
    raise DeadlineExceeded("the time given for the drafts ran out")


def _heartbeat(sequence: int) -> pb.DraftResponse:
    return pb.DraftResponse(heartbeat=decoding_pb2.Heartbeat(sequence=sequence))
