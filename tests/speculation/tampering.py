"""Tiers whose sessions were tampered with, for faults and controls that no setting can make."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from tests.speculation.fleet import PatientTier
from tiercel.speculation.decoder import Decoder
from tiercel.speculation.judging import Verified
from tiercel.speculation.session import Session
from tiercel.speculation.turn import Memory

Tamper = Callable[[Session], None]


class TamperedTier(PatientTier):
    """A tier that changes every session it opens, and keeps its decoders for a test to look at."""

    def __init__(self, *wiring, tamper: Tamper | None = None, **options) -> None:
        super().__init__(*wiring, **options)
        self.decoders: list[Decoder] = []
        self._tamper = tamper

    @asynccontextmanager
    async def decoder(self, *arguments) -> AsyncIterator[Decoder]:
        async with super().decoder(*arguments) as decoder:
            if self._tamper is not None:
                self._tamper(decoder.session)
            self.decoders.append(decoder)
            yield decoder


def tampered(tamper: Tamper | None = None) -> Callable[..., TamperedTier]:
    return partial(TamperedTier, tamper=tamper)


class Gate:
    """Holds a tier's pass when its sequence has grown by `num_tokens`, until it is opened."""

    def __init__(self, num_tokens: int) -> None:
        self.num_tokens = num_tokens
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    def hold(self, session: Session) -> None:
        verify, first = session.verify, len(session.sequence)

        async def held(*arguments) -> Verified | None:
            if len(session.sequence) - first >= self.num_tokens:
                self.reached.set()
                await self.opened.wait()
            return await verify(*arguments)

        session.verify = held

    def move(self, num_tokens: int) -> None:
        """Let the pass go, and hold the next one after so many more tokens."""
        self.num_tokens += num_tokens
        self.opened.set()
        self.reached, self.opened = asyncio.Event(), asyncio.Event()


class Slips:
    """Makes a drafter propose a wrong token, once at each of the given distances."""

    def __init__(self, distances: Sequence[int]) -> None:
        self.num_made = 0
        self._distances = list(distances)  # from the length at the opening, ascending

    def tamper(self, session: Session) -> None:
        verify, first = session.verify, len(session.sequence)

        async def slipping(*arguments) -> Verified | None:
            verified = await verify(*arguments)
            here = len(session.sequence) - first
            if verified is None or not self._distances or here < self._distances[0]:
                return verified
            self._distances.pop(0)
            self.num_made += 1
            return _with_wrong_end(session, verified)

        session.verify = slipping


def _with_wrong_end(session: Session, verified: Verified) -> Verified:
    wrong = 100 if verified.token_ids[-1] != 100 else 101
    session.cut(len(session.sequence) - 1)
    session.append([wrong])
    return replace(verified, token_ids=(*verified.token_ids[:-1], wrong))


def wrong_seed(session: Session) -> None:
    params = session._terms.params
    session._terms = replace(session._terms, params=replace(params, seed=params.seed + 1))


def offset_off_by_one(session: Session) -> None:
    session._offsets._offsets = [offset + 1 for offset in session._offsets._offsets]


def cache_not_rolled_back(session: Session) -> None:
    """Leave in the cache what the sequence lost: rejected tokens, and tokens that were cut."""
    session._memory = _Stubborn(session._memory.num_lasting)


class _Stubborn(Memory):
    """Holds a cache that forgets nothing."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "cache" and value is not None:
            value.truncate = lambda length: None
        super().__setattr__(name, value)
