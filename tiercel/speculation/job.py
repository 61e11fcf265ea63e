"""What one pass of a session is to judge: the drafts, and all that a verdict depends on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tiercel.decoding import Randomness, Verdict, Vocabulary
from tiercel.decoding.agreement import compared
from tiercel.engines.language_model import Logits
from tiercel.speculation.draft_tree import DraftTree
from tiercel.speculation.judging import Terms, Verified, judge
from tiercel.speculation.link import Draft, Follow
from tiercel.speculation.logits_mask import LogitsMask


@dataclass(frozen=True)
class Ahead:
    """How many tokens may be decoded before they are asked for, and which ones end that."""

    num_tokens: int = 0
    stop_token_ids: frozenset[int] = frozenset()
    draft: Follow | None = None  # what the tokens are drafted with; None is plain decoding


NOT_AHEAD = Ahead()


@dataclass(frozen=True)
class Job:
    """What is to be judged: drafts whose first token has an offset in the generated text."""

    tree: DraftTree
    offset: int  # in bytes
    num_top_logprobs: int | None
    ahead: Ahead
    generation: int
    terms: Terms
    answer: tuple[int, ...] = ()  # the tokens before the draft, where a mask asks for them
    unjudged: tuple[int, ...] = ()  # the tokens before the draft that no pass has seen yet

    def verdict(
        self,
        logits: Logits,
        vocabulary: Vocabulary,
        randomness: Randomness,
        mask: LogitsMask | None,
    ) -> Verified:
        """Return what becomes of the draft of which most stands, the first of equals.

        `logits` has a row before each unjudged token, one before the drafts and one for each place
        of the tree; raises as `judge`.
        """
        seen, logits = self._seen(logits, vocabulary), logits[len(self.unjudged) :]
        verdicts = (
            self._on(draft, path, self._along(path, logits), vocabulary, randomness, mask)
            for draft, path in zip(self.tree.drafts, self.tree.paths, strict=True)
        )
        best = max(verdicts, key=lambda verified: verified.num_accepted)
        return replace(best, seen=seen)

    def _seen(self, logits: Logits, vocabulary: Vocabulary) -> Verdict | None:
        """Return what EXACT makes of the unjudged tokens; None if there are none."""
        if not self.unjudged:
            return None
        rows = logits[: len(self.unjudged) + 1]
        began = self.offset - vocabulary.advance(0, self.unjudged)
        return compared(self.unjudged, self.terms.target(rows, vocabulary, began))

    def _along(self, path: Sequence[int], logits: Logits) -> Logits:
        if self.tree.parents is None:
            return logits
        return logits[[0, *(place + 1 for place in path)]]

    def _on(
        self,
        draft: Draft,
        path: tuple[int, ...],
        logits: Logits,
        vocabulary: Vocabulary,
        randomness: Randomness,
        mask: LogitsMask | None,
    ) -> Verified:
        if mask is not None:
            logits = mask.masked(logits, self.answer, draft.token_ids)
        target = self.terms.target(logits, vocabulary, self.offset)
        verified = judge(self.terms, draft.to_judge(), target, randomness, self.num_top_logprobs)
        if mask is not None:
            mask.check_accepted(verified.num_accepted)
        return replace(verified, proposed=draft, kept=path[: verified.num_accepted])
