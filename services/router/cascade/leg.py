"""One plan's part in an answer: what it committed, how sure it was, how it ended."""

from collections.abc import Sequence
from dataclasses import replace

from services.router.answer import Answer
from tiercel.replies import Committed, TokenEvidence
from tiercel.sessions import DraftPrefix, SessionEnd
from tiercel.speculation.statistics import merged
from tiercel.types import FinishReason, PairStats, TierStats, Usage
from tiercel.wire.requests import TokenIds


class Leg:
    """A plan and its answer, which may be overruled by another, and come back."""

    def __init__(self, plan_name: str, answer: Answer) -> None:
        self.plan_name, self.answer = plan_name, answer
        self.committed: list[Committed] = []
        self.evidence: list[TokenEvidence] = []
        self.end: SessionEnd | None = None

    @property
    def num_tokens(self) -> int:
        """Tokens so far."""
        return sum(len(one.token_ids) for one in self.committed)

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(one.text for one in self.committed)

    @property
    def words(self) -> str:
        """The fingerprint of the tokenizer whose ids the tokens are."""
        return self.answer.prompt.tokenizer_fingerprint

    def take(self, committed: Committed) -> Committed:
        """Note further tokens; return them without what is for nobody else."""
        self.evidence += committed.evidence
        self.committed.append(replace(committed, evidence=()))
        return self.committed[-1]

    def said(self) -> DraftPrefix:
        """Return all of it as a draft for a larger tier."""
        ids = tuple(token_id for one in self.committed for token_id in one.token_ids)
        return DraftPrefix(self.answer.plan.tier, TokenIds(ids, self.words), self.text)

    def ended(self, reason: FinishReason) -> SessionEnd:
        """Return how it ended; one that did not ended for this reason."""
        return self.end if self.end is not None else self.answer.left(reason)


def with_usage_of(end: SessionEnd, others: Sequence[Leg]) -> SessionEnd:
    """Return the end of an answer with the work of plans that had a part in it before."""
    if not others:
        return end
    spent = [one.ended(FinishReason.CANCELLED).usage for one in others]
    pairs, tiers = merged(_work(end.usage), *(_work(_without_tokens(usage)) for usage in spent))
    return replace(end, usage=replace(end.usage, pairs=tuple(pairs), tiers=tuple(tiers)))


def _work(usage: Usage) -> tuple[list[PairStats], list[TierStats]]:
    return [*usage.pairs], [*usage.tiers]


def _without_tokens(usage: Usage) -> Usage:
    """Return the usage of a part whose tokens are not the answer's."""
    return replace(usage, tiers=tuple(replace(one, num_committed_tokens=0) for one in usage.tiers))
