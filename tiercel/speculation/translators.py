"""What a tier needs to work with drafters of any vocabulary."""

import asyncio
from collections.abc import Sequence

import grpc

from tiercel.speculation.bridged_sequence import BridgeEnds, foreign_prompt
from tiercel.speculation.foreign import ForeignTokenizers
from tiercel.speculation.request import Request
from tiercel.tokenizer import Tokenizer


class Translators:
    """Gives a tier's sessions what a bridge to a drafter needs."""

    def __init__(self, own: Tokenizer) -> None:
        """`own` is the parent's tokenizer."""
        self._own = own
        self._foreign = ForeignTokenizers(own.fingerprint)

    async def ends(
        self, channel: grpc.aio.Channel, address: str, request: Request, prompt_ids: Sequence[int]
    ) -> BridgeEnds | None:
        """Return what a bridge to a drafter needs; None if it needs none. Raises as `of` does."""
        foreign = await self._foreign.of(channel, address)
        if foreign is None:
            return None
        ids = await asyncio.to_thread(
            foreign_prompt, self._own, foreign.tokenizer, prompt_ids, request.messages
        )
        return BridgeEnds(self._own, foreign, ids)

    def is_needed(self, address: str) -> bool:
        """Return whether the drafter there needed a bridge the last time."""
        return self._foreign.is_foreign(address)

    async def close(self) -> None:
        """Give up what is being fetched."""
        await self._foreign.close()
