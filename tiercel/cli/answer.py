"""An answer as it is gathered from the router's events: its text, piece by piece, by tier."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from tiercel.clients.router import Event
from tiercel.plan_text import print_plan
from tiercel.replies import Committed, Decision, Finished, Revise
from tiercel.types import TokenLogprob


@dataclass(frozen=True)
class Piece:
    """The text that one token released, and the tier that proposed the token first."""

    tier: str
    text: str
    num_tokens: int = 1


@dataclass
class Answer:
    """Everything that one request brought."""

    decision: Decision | None = None
    token_ids: list[int] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finished: Finished | None = None

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(piece.text for piece in self.pieces)

    def add(self, event: Event) -> list[Piece]:
        """Take an event; return the pieces of text that it brought."""
        if isinstance(event, Decision):
            self.decision = event
        elif isinstance(event, Finished):
            self.finished = event
        elif isinstance(event, Revise):
            self._take_back(event)
        else:
            return self._commit(event)
        return []

    def _commit(self, committed: Committed) -> list[Piece]:
        last = self.pieces[-1].tier if self.pieces else ""
        new = pieces(committed, last_tier=last)
        self.token_ids += committed.token_ids
        self.logprobs += committed.logprobs
        self.pieces += new
        return new

    def _take_back(self, revise: Revise) -> None:
        """Forget what is void: tokens by their position, text by its length."""
        num_tokens, length = revise.from_position, revise.text_length
        del self.token_ids[num_tokens:], self.logprobs[num_tokens:]
        kept = []
        for piece in self.pieces:
            tokens = min(piece.num_tokens, num_tokens)
            text = piece.text[:length]
            num_tokens, length = num_tokens - tokens, length - len(text)
            if tokens or text:
                kept.append(Piece(piece.tier, text, tokens))
        self.pieces = kept

    def runs(self) -> list[Piece]:
        """Return the pieces with neighbours of one tier joined."""
        return list(joined(self.pieces))


def pieces(committed: Committed, *, last_tier: str) -> list[Piece]:
    """Return the text of a message cut by token; text without tokens goes to `last_tier`."""
    tiers = [span.tier for span in committed.spans for _ in range(span.num_tokens)]
    if not tiers:
        return [Piece(last_tier, committed.text, 0)] if committed.text else []
    cut, start = [], 0
    for tier, length in zip(tiers, committed.text_lengths, strict=False):
        cut.append(Piece(tier, committed.text[start : start + length]))
        start += length
    missing = [Piece(tier, "") for tier in tiers[len(cut) :]]
    rest = [Piece(tiers[-1], committed.text[start:], 0)] if start < len(committed.text) else []
    return [*cut, *missing, *rest]


def joined(parts: list[Piece]) -> Iterator[Piece]:
    """Yield the pieces with neighbours of one tier joined."""
    for tier, group in groupby(parts, key=lambda piece: piece.tier):
        run = list(group)
        yield Piece(tier, "".join(one.text for one in run), sum(one.num_tokens for one in run))


def as_object(answer: Answer) -> dict[str, object]:
    """Return the answer as the object that `--json` prints."""
    content: dict[str, object] = {"text": answer.text, "token_ids": answer.token_ids}
    content["spans"] = answer.runs()
    if answer.logprobs:
        content["logprobs"] = answer.logprobs
    if answer.decision is not None:
        content["decision"] = decision_object(answer.decision)
    if answer.finished is not None:
        content["finished"] = answer.finished
    return content


def decision_object(decision: Decision) -> dict[str, object]:
    """Return a decision as the object that `--json` prints; its plan as text and as a tree."""
    return {**vars(decision), "plan_text": print_plan(decision.plan)}
