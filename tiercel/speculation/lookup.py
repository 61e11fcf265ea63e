"""Drafts without a model: what the sessions of one process share, and what follows in one."""

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from tiercel import telemetry
from tiercel.engines.combined import CombinedDrafter, Draft
from tiercel.engines.guesses import Source
from tiercel.engines.ngram import NgramSource, NgramTable
from tiercel.engines.suffix import SuffixIndex, SuffixPool
from tiercel.engines.trusted import Trusted

# The least recently used pools are dropped: who opens a stream names its tokenizer at will.
_MAX_POOLS = 4

_log = structlog.get_logger()


@dataclass(frozen=True)
class Basis:
    """What drafts without a model rest on."""

    min_confidence: float = 0.0
    pool_tokens: int = 200_000  # of recent outputs, for each of a few tokenizers
    max_length: int = 32_768  # of a sequence
    table: NgramTable | None = None  # used for sequences of its own tokenizer


BARE = Basis()  # of what sessions say themselves


class Lookups:
    """An n-gram table, and recent outputs by tokenizer, for all sessions of a process.

    Used by one thread at a time: who has several holds `lock`, around `sources` and all that the
    sources are asked for.
    """

    def __init__(self, basis: Basis) -> None:
        self.basis = basis
        self.lock = threading.Lock()
        self._pools: OrderedDict[str, SuffixPool] = OrderedDict()

    def sources(self, fingerprint: str) -> list[Source]:
        """Return new sources for a sequence of that tokenizer, the first to be asked first."""
        pool, table = self._pool(fingerprint), self._table(fingerprint)
        sources: list[Source] = [SuffixIndex(*([pool] if pool is not None else []))]
        if table is not None:
            sources.append(NgramSource(table))
        return sources

    def remember(self, fingerprint: str, token_ids: Sequence[int]) -> None:
        """Take the output of a session for others to draft from."""
        if (pool := self._pool(fingerprint)) is not None:
            pool.add(token_ids)

    def forget(self) -> None:
        """Drop the outputs of all sessions."""
        self._pools.clear()

    def _table(self, fingerprint: str) -> NgramTable | None:
        """Return the table if its ids mean in this vocabulary what they mean in its own."""
        table = self.basis.table
        if table is None or table.header.tokenizer_fingerprint == fingerprint:
            return table
        _log.debug("the n-gram table is of another tokenizer", tokenizer=fingerprint)
        return None

    def _pool(self, fingerprint: str) -> SuffixPool | None:
        if not self.basis.pool_tokens:
            return None
        if fingerprint not in self._pools:
            self._pools[fingerprint] = SuffixPool(self.basis.pool_tokens)
        self._pools.move_to_end(fingerprint)
        if len(self._pools) > _MAX_POOLS:
            self._pools.popitem(last=False)
        return self._pools[fingerprint]


class LookupSession:
    """Follows one sequence and guesses how it goes on; judges its guesses by how it does."""

    def __init__(self, tier: str, sources: Iterable[Source]) -> None:
        """Start with an empty sequence; `tier` is whose guesses are counted."""
        self._tier = tier
        self._sources = [Trusted(source) for source in sources]
        self._drafter = CombinedDrafter(*self._sources)
        self._tokens: list[int] = []  # committed ones, then guesses
        self._committed_length = 0
        self._guessers: list[str] = []  # the source of each guess

    def __len__(self) -> int:
        """Return the number of tokens, guesses included."""
        return len(self._tokens)

    def committed(self, start: int) -> list[int]:
        """Return the committed tokens from position `start` on."""
        return self._tokens[start : self._committed_length]

    def follow(self, start: int, token_ids: Sequence[int]) -> None:
        """Note that what stands before position `start` is committed, and then `token_ids`."""
        self._judge(start, token_ids)
        fork = start
        for ours, true in zip(self._tokens[start:], token_ids, strict=False):
            if ours != true:
                break
            fork += 1
        rest = token_ids[fork - start :]
        if fork < len(self._tokens):
            del self._tokens[fork:]
            self._drafter.truncate(fork)
        self._tokens += rest
        self._drafter.append(rest)
        self._committed_length = len(self._tokens)
        self._guessers = []

    def propose(self, most: int, min_confidence: float) -> Draft:
        """Return at most `most` further tokens; all of them hold with a chance of so much.

        They count as the sequence's until `follow` says otherwise.
        """
        draft = self._drafter.propose(most, min_confidence)
        self._tokens += draft.tokens
        self._guessers += draft.sources
        return draft

    def _judge(self, start: int, token_ids: Sequence[int]) -> None:
        """Compare the guesses with what was committed in their place."""
        known = self._committed_length
        if start < known:  # committed tokens are taken back: that says nothing of guesses
            truth: list[int] = []
        else:
            truth = [*self._tokens[known:start], *token_ids]
        guesses, fates = self._tokens[known:], Counter[tuple[str, str]]()
        for number, (guess, true) in enumerate(zip(guesses, truth, strict=False)):
            fates[self._guessers[number], "accepted" if guess == true else "rejected"] += 1
            if guess != true:
                del truth[number + 1 :]  # guesses behind a wrong one were about something else
        for source in self._sources:
            source.judge(known, truth)
        for (guesser, fate), count in fates.items():
            telemetry.count_guesses(self._tier, guesser, fate, count)
