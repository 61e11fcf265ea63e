"""The tokenizers of drafters that have another one than their parent: fetched, checked, kept."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

import grpc

from tiercel.clients.tier import describe, tokenizer_files
from tiercel.errors import TokenizerMismatch
from tiercel.tokenizer import Tokenizer

# One of a hundred and fifty thousand tokens takes a hundred megabytes.
_MOST = 4
# For the whole way: a description, some megabytes, and seconds to build a tokenizer from them.
_DESCRIBE_S, _FETCH_S = 5.0, 60.0


@dataclass(frozen=True)
class Foreign:
    """What a drafter's token ids mean."""

    tokenizer: Tokenizer
    vocab_size: int  # ids that its model may send; those beyond the tokenizer's mean nothing


class ForeignTokenizers:
    """Tokenizers of drafters by fingerprint; the least recently used one is dropped."""

    def __init__(self, own_fingerprint: str) -> None:
        self._own_fingerprint = own_fingerprint
        self._fetches: OrderedDict[str, asyncio.Task[Tokenizer]] = OrderedDict()
        self._foreign_addresses: set[str] = set()

    def is_foreign(self, address: str) -> bool:
        """Return whether the drafter there had another tokenizer when it was asked last."""
        return address in self._foreign_addresses

    async def of(self, channel: grpc.aio.Channel, address: str) -> Foreign | None:
        """Return what a drafter's ids mean; None if its tokenizer is the parent's own.

        Raises the domain error if it does not hand its tokenizer out, and TokenizerMismatch if
        what it hands out is not what it says it has.
        """
        about = await describe(channel, timeout_s=_DESCRIBE_S)
        if about.tokenizer_fingerprint in ("", self._own_fingerprint):
            self._foreign_addresses.discard(address)
            return None
        self._foreign_addresses.add(address)
        tokenizer = await self._fetched(channel, about.tokenizer_fingerprint)
        return Foreign(tokenizer, about.vocab_size)

    async def close(self) -> None:
        """Give up what is being fetched."""
        for fetch in self._fetches.values():
            fetch.cancel()
        if self._fetches:
            await asyncio.wait(self._fetches.values())
        self._fetches.clear()

    async def _fetched(self, channel: grpc.aio.Channel, fingerprint: str) -> Tokenizer:
        fetch = self._fetches.get(fingerprint)
        if fetch is None or (fetch.done() and fetch.exception() is not None):
            fetch = asyncio.create_task(_fetch(channel, fingerprint))
            fetch.add_done_callback(_note_failure)
            self._fetches[fingerprint] = fetch
        self._fetches.move_to_end(fingerprint)
        if len(self._fetches) > _MOST:
            self._fetches.popitem(last=False)
        # Others may wait for it too: it goes on when one request ends.
        return await asyncio.shield(fetch)


async def _fetch(channel: grpc.aio.Channel, fingerprint: str) -> Tokenizer:
    files = await tokenizer_files(channel, timeout_s=_FETCH_S)
    tokenizer = await asyncio.to_thread(Tokenizer.from_files, files)
    if tokenizer.fingerprint != fingerprint:
        raise TokenizerMismatch(
            f"the tokenizer handed out is {tokenizer.fingerprint} and not {fingerprint}"
        )
    return tokenizer


def _note_failure(fetch: asyncio.Task[Tokenizer]) -> None:
    """Look at the failure: nobody else may be there any more to do so."""
    if not fetch.cancelled():
        fetch.exception()
