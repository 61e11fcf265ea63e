"""From committed tokens to an answer: text, provenance, and where it ends."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

from tiercel.replies import Committed
from tiercel.speculation.decoder import Progress
from tiercel.text import Detokenizer, StopMatcher
from tiercel.tokenizer import Tokenizer
from tiercel.types import FinishReason, Replacement, StopConditions
from tiercel.wire.draft import spans_of


class Answer:
    """Takes tokens as they are committed, and ends at the first stop among them.

    `reason` is None until then. Tokens behind the end are dropped: the answer is that of plain
    decoding, however many tokens come at once.
    """

    def __init__(
        self, tokenizer: Tokenizer, stop: StopConditions, committed: Iterable[int] = ()
    ) -> None:
        """Go on after `committed`, tokens whose text was delivered by somebody else."""
        self.reason: FinishReason | None = None
        self.num_tokens = 0
        self.num_by_tier: dict[str, int] = {}
        self._stop = stop
        self._detokenizer = Detokenizer(tokenizer.token_bytes, tokenizer.is_special)
        self._matcher = StopMatcher(stop.strings)
        self._texts(committed)

    @property
    def num_left(self) -> int:
        """Tokens that the answer may still take."""
        return self._stop.max_new_tokens - self.num_tokens

    @property
    def stop_string(self) -> str:
        """The stop string that ended the answer, if one did."""
        return self._matcher.matched

    def take(self, progress: Progress) -> Committed:
        """Return the tokens up to the end, with the text that is certain with them."""
        position, verified = self.num_tokens, progress.verified
        texts = self._texts(progress.token_ids)
        sources = progress.sources[: len(texts)]
        for source in sources:
            self.num_by_tier[source] = self.num_by_tier.get(source, 0) + 1
        return Committed(
            position=position,
            token_ids=progress.token_ids[: len(texts)],
            text="".join(texts),
            spans=tuple(spans_of(sources)),
            text_lengths=tuple(len(text) for text in texts),
            logprobs=tuple(islice(verified.logprobs, len(texts))),
            plan_version=progress.plan_version,
            compute_s=verified.compute_s,
            evidence=tuple(islice(verified.evidence, len(texts))),
            replacements=_placed(verified.verdict.replacement, position, len(texts)),
        )

    def tail(self) -> Committed | None:
        """Return the text that the end releases, if any."""
        if self.reason is FinishReason.STOP_STRING:
            return None
        text, hit = self._matcher.push(self._detokenizer.flush())
        if hit:
            self.reason = FinishReason.STOP_STRING
        else:
            text += self._matcher.flush()
        return Committed(self.num_tokens, (), text, ()) if text else None

    def _texts(self, token_ids: Sequence[int] | Iterable[int]) -> list[str]:
        texts = []
        for token_id in token_ids:
            if self.reason is not None:
                break
            texts.append(self._text(token_id))
        return texts

    def _text(self, token_id: int) -> str:
        self.num_tokens += 1
        if token_id in self._stop.token_ids:
            self.reason = FinishReason.STOP_TOKEN
            return ""
        text, hit = self._matcher.push(self._detokenizer.push(token_id))
        if hit:
            self.reason = FinishReason.STOP_STRING
        elif self.num_left <= 0:
            self.reason = FinishReason.LENGTH
        return text


def _placed(
    replacement: Replacement | None, position: int, num_tokens: int
) -> tuple[Replacement, ...]:
    """Return what was replaced among `num_tokens` tokens from `position` of the answer on."""
    if replacement is None or replacement.position >= num_tokens:
        return ()
    return (replace(replacement, position=position + replacement.position),)
