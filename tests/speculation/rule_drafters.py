"""Drafters for tests of rules: they draw whole blocks at once, and may lie about how."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.drafter.servicer import DrafterServicer
from tests.speculation.fleet import HEARTBEAT_S, Fleet, Replica
from tiercel.decoding import TokenDistribution
from tiercel.descriptions import TierDescription
from tiercel.speculation.draft_server import Drafts, DraftServer
from tiercel.speculation.proposer import Proposal, Proposer
from tiercel.speculation.slots import Slots
from tiercel.types import PairStats, Plan, TierStats
from tiercel.wire.draft import DraftOpening


@dataclass(frozen=True)
class Deck:
    """What a drafter draws from, by the last token, and what it says that it draws from.

    Both have the shape [vocab_size, vocab_size].
    """

    drawn: NDArray[np.float64]
    sent: NDArray[np.float64]
    seed: int = 0
    says: bool = True  # what it sends; else it sends tokens only


class DeckProposer:
    """Draws tokens from a deck; it never ends a run early."""

    def __init__(self, name: str, deck: Deck, opening: DraftOpening, seed: int) -> None:
        self._name, self._says = name, deck.says
        self._tokens = list(opening.prefix.token_ids)
        self._rng = np.random.default_rng(seed)
        self._rows = np.cumsum(deck.drawn, axis=1)
        self._rows /= self._rows[:, -1:]
        ids = np.arange(len(deck.sent))
        self._sent = [TokenDistribution(ids, row.astype(np.float32)) for row in deck.sent]

    def cut(self, length: int) -> None:
        del self._tokens[length:]

    def append(self, token_ids: Sequence[int]) -> None:
        self._tokens += token_ids

    async def propose(self, max_tokens: int) -> Proposal:
        start = len(self._tokens)
        for uniform in self._rng.random(max_tokens):
            row = self._rows[self._tokens[-1]]
            self._tokens.append(int(row.searchsorted(uniform, side="right")))
        tokens, before = self._tokens[start:], self._tokens[start - 1 : -1]
        return Proposal(
            tuple(tokens),
            (self._name,) * max_tokens,
            0.0,
            distributions=tuple(self._sent[token] for token in before) if self._says else None,
        )

    def replan(self, plan: Plan) -> None:
        pass

    def stats(self) -> tuple[list[PairStats], list[TierStats]]:
        return [], []

    async def close(self) -> None:
        pass


class DeckTier:
    """A drafting tier without a model, served as ours are."""

    def __init__(self, name: str, deck: Deck) -> None:
        self._name, self._deck, self._num_opened = name, deck, 0
        self._slots = Slots(name, 16)
        drafts = Drafts(tier=name, heartbeat_s=HEARTBEAT_S)
        self.draft_server = DraftServer(drafts, self._slots, self._proposer)

    def describe(self) -> TierDescription:
        raise NotImplementedError

    async def close(self) -> None:
        pass

    @asynccontextmanager
    async def _proposer(self, opening, deadline, lost) -> AsyncIterator[Proposer]:
        self._num_opened += 1  # no two streams draw the same
        seed = 1000 * self._deck.seed + self._num_opened
        yield DeckProposer(self._name, self._deck, opening, seed)


async def deck_tier(fleet: Fleet, name: str, deck: Deck) -> Replica:
    """Start a drafter that draws from a deck."""

    def build() -> tuple[DeckTier, DrafterServicer]:
        tier = DeckTier(name, deck)
        return tier, DrafterServicer(tier, max_request_s=580.0)

    return await fleet.start(name, build)
