"""What one pass of a session is to judge: the drafts, and all that a verdict depends on."""

from dataclasses import dataclass, replace

from tiercel.decoding import Randomness, Verdict, Vocabulary
from tiercel.decoding.agreement import compared
from tiercel.engines.language_model import Logits
from tiercel.speculation.draft_tree import DraftTree
from tiercel.speculation.judging import Terms, Verified, judge
from tiercel.speculation.link import Follow
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
        """Return what becomes of the draft that stands furthest, the first of equals.

        `logits` has a row before each unjudged token, one before the drafts and one for each place
        of the tree; raises as `judge`.
        """
        seen, logits = self._seen(logits, vocabulary), logits[len(self.unjudged) :]
        drafts = [draft.to_judge() for draft in self.tree.drafts]
        targets = [
            self.terms.target(self._along(number, logits, mask), vocabulary, self.offset)
            for number in range(len(drafts))
        ]
        number, verified = judge(self.terms, drafts, targets, randomness, self.num_top_logprobs)
        proposed, path = self.tree.drafts[number], self.tree.paths[number]
        if mask is not None:
            if number < len(drafts) - 1:
                self._along(number, logits, mask)  # it knows of the draft that it was asked last
            mask.check_accepted(verified.num_accepted)
        return replace(verified, proposed=proposed, kept=path[: verified.num_accepted], seen=seen)

    def _seen(self, logits: Logits, vocabulary: Vocabulary) -> Verdict | None:
        """Return what EXACT makes of the unjudged tokens; None if there are none."""
        if not self.unjudged:
            return None
        rows = logits[: len(self.unjudged) + 1]
        began = self.offset - vocabulary.advance(0, self.unjudged)
        return compared(self.unjudged, self.terms.target(rows, vocabulary, began))

    def _along(self, number: int, logits: Logits, mask: LogitsMask | None) -> Logits:
        """Return the rows before a draft and behind each of its tokens."""
        rows = [0, *(place + 1 for place in self.tree.paths[number])]
        path = logits if self.tree.parents is None else logits[rows]
        if mask is None:
            return path
        return mask.masked(path, self.answer, self.tree.drafts[number].token_ids)
