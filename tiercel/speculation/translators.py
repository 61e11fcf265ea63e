"""What a tier needs to work with drafters of any vocabulary."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import grpc

from tiercel.errors import Unsupported
from tiercel.speculation.bridged_sequence import BridgeEnds, foreign_prompt
from tiercel.speculation.foreign import Foreign, ForeignTokenizers
from tiercel.speculation.request import Request
from tiercel.text import Intersection
from tiercel.tokenizer import Tokenizer
from tiercel.types import Evidence

# Of a drafter's tokens, that the parent has to have too where it matters how they were drawn.
_LEAST_SHARE = 0.1
# Some megabytes each.
_MOST = 4


class Translators:
    """Gives a tier's sessions what a bridge to a drafter needs."""

    def __init__(self, own: Tokenizer) -> None:
        """`own` is the parent's tokenizer."""
        self._own = own
        self._foreign = ForeignTokenizers(own.fingerprint)
        self._intersections: OrderedDict[tuple[str, int], Intersection] = OrderedDict()

    async def ends(
        self, channel: grpc.aio.Channel, address: str, request: Request, prompt_ids: Sequence[int]
    ) -> BridgeEnds | None:
        """Return what a bridge to a drafter needs; None if it needs none.

        Raises as `of` does, and Unsupported where it matters how the drafter draws, and hardly
        any of its tokens is one of the parent's.
        """
        foreign = await self._foreign.of(channel, address)
        if foreign is None:
            return None
        ids = await asyncio.to_thread(
            foreign_prompt, self._own, foreign.tokenizer, prompt_ids, request.messages
        )
        if request.evidence is not Evidence.DISTRIBUTIONS:
            return BridgeEnds(self._own, foreign, ids)
        shared = await self._intersection(foreign)
        if shared.share < _LEAST_SHARE:
            raise Unsupported(
                f"only {shared.share:.1%} of its tokens are tokens of {request.parent} too: too few"
                " for a rule that weighs how they were drawn"
            )
        return BridgeEnds(self._own, foreign, ids, shared)

    def is_needed(self, address: str) -> bool:
        """Return whether the drafter there needed a bridge the last time."""
        return self._foreign.is_foreign(address)

    async def close(self) -> None:
        """Give up what is being fetched."""
        await self._foreign.close()

    async def _intersection(self, foreign: Foreign) -> Intersection:
        key = (foreign.tokenizer.fingerprint, foreign.vocab_size)
        if key not in self._intersections:
            self._intersections[key] = await asyncio.to_thread(
                Intersection,
                foreign.tokenizer,
                self._own,
                drafter_size=foreign.vocab_size,
                parent_size=self._own.vocab_size,
            )
        self._intersections.move_to_end(key)
        if len(self._intersections) > _MOST:
            self._intersections.popitem(last=False)
        return self._intersections[key]
