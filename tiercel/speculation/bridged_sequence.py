"""A parent's sequence in the vocabulary of a drafter with another tokenizer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import prod

from tiercel.decoding import TokenDistribution, renamed
from tiercel.draft_stream import Judgement, TokenSequence
from tiercel.errors import InvalidRequest, Unsupported
from tiercel.speculation.foreign import Foreign
from tiercel.speculation.link import Draft
from tiercel.speculation.request import Request
from tiercel.text import Bridge, Intersection, Translated
from tiercel.tokenizer import Tokenizer
from tiercel.types import Evidence, Message

# Tokens of one vocabulary that a token of another may take, more or less: this bounds how far a
# drafter drafts towards an answer's end, and no more.
_MOST_PER_TOKEN = 4


@dataclass(frozen=True)
class BridgeEnds:
    """The two tokenizers, and the prompt in the drafter's."""

    parent: Tokenizer
    drafter: Foreign
    prompt_ids: tuple[int, ...]
    shared: Intersection | None = None  # asked for where the drafter says how it drew


@dataclass(frozen=True)
class Synced:
    """What `sync` did."""

    keep_length: int  # of the shadow: so much stayed as it was
    judgement: Judgement | None  # of the draft, counted in the parent's tokens
    rejected_from: int | None = None  # position in the shadow from which the run is void


class BridgedSequence:
    """`shadow` is what the drafter is to be told; it follows the parent's sequence at `sync`."""

    def __init__(self, ends: BridgeEnds, request: Request, sequence: TokenSequence) -> None:
        """Begin with what the parent's sequence is now; it is read, and never changed."""
        self._sequence, self._num_prompt_tokens = sequence, request.num_prompt_tokens
        tokenizer = ends.drafter.tokenizer
        self._shared = ends.shared
        self._bridge = Bridge(ends.parent, tokenizer, ends.shared)
        self.shadow = TokenSequence(ends.prompt_ids)
        self._num_shadow_prompt_tokens = len(ends.prompt_ids)
        self.request = replace(
            request,
            tokenizer_fingerprint=tokenizer.fingerprint,
            vocab_size=ends.drafter.vocab_size,
            num_prompt_tokens=len(ends.prompt_ids),
            stop_token_ids=_stop_ids(ends.parent, tokenizer, request.stop_token_ids),
            max_new_tokens=_MOST_PER_TOKEN * request.max_new_tokens,
        )
        self._append(self._sequence.tokens(self._length), ())

    @property
    def is_synced(self) -> bool:
        """Whether the shadow follows all of the parent's sequence."""
        return self._length == len(self._sequence)

    def sync(self, run: Sequence[int], rejected_from: int | None = None) -> Synced:
        """Bring the shadow up to the parent's sequence, `run` being what the drafter drafted.

        Of that, the parent's tokens from position `rejected_from` on were rejected.
        """
        token_ids, before = self._sequence.tokens(self._length), len(self.shadow)
        draft = self._bridge.draft(run).token_ids
        num_kept = None if rejected_from is None else max(0, rejected_from - self._length)
        judgement = _judged(draft, token_ids, num_kept)
        if num_kept is None or self.request.evidence is not Evidence.DISTRIBUTIONS:
            # The text is what counts: a token may be rejected for how it is spelled.
            return Synced(self._append(token_ids, run), judgement)
        own = self._bridge.num_within(run, draft[:num_kept])
        return Synced(self._append(token_ids, run[:own]), judgement, before + own)

    def cut(self, length: int) -> int:
        """Keep of the text what the parent's first `length` tokens say.

        Returns how much of the shadow stayed as it was.
        """
        if length >= self._length:
            return len(self.shadow)
        told = self._bridge.cut(length - self._num_prompt_tokens)
        return self._change(told.keep_length, told.token_ids)

    def translated(self, draft: Draft, most: int) -> Draft:
        """Return what a draft after the shadow says after the parent's sequence.

        That is at most `most` tokens; each is its proposer's in whose token it begins.
        """
        translated = self._bridge.draft(draft.token_ids)
        sources = tuple(draft.sources[origin] for origin in translated.origins)
        probs = None if draft.probs is None else _probs(draft.probs, translated.shares)
        distributions = self._distributions(draft, translated)
        places = None if probs is None else translated.span_places
        return Draft(translated.token_ids, sources, probs, distributions, places).part(most)

    @property
    def _length(self) -> int:
        return self._num_prompt_tokens + self._bridge.num_parent_tokens

    def _distributions(
        self, draft: Draft, translated: Translated
    ) -> tuple[TokenDistribution, ...] | None:
        """Return what each token was drawn from: its drafter's distribution of what both have.

        A token of which the parent has only the bytes is certain, once it was drawn.
        """
        if self._shared is None or draft.distributions is None:
            return None
        ids, drawn = self._shared.ids, draft.distributions
        parts = zip(translated.token_ids, translated.same_as, strict=True)
        return tuple(
            TokenDistribution.certain(token_id) if place is None else renamed(drawn[place], ids)
            for token_id, place in parts
        )

    def _append(self, token_ids: Sequence[int], run: Sequence[int]) -> int:
        told = self._bridge.append(token_ids, run)
        return self._change(told.keep_length, told.token_ids)

    def _change(self, keep_length: int, token_ids: Iterable[int]) -> int:
        keep_length += self._num_shadow_prompt_tokens
        self.shadow.cut(keep_length)
        self.shadow.append(token_ids)
        return keep_length


def _probs(probs: Sequence[float], shares: Iterable[range]) -> tuple[float, ...]:
    """Return the product for a span that begins and ends alike, at its first token."""
    return tuple(prod(probs[share.start : share.stop]) for share in shares)


def foreign_prompt(
    parent: Tokenizer, drafter: Tokenizer, prompt_ids: Sequence[int], messages: Sequence[Message]
) -> tuple[int, ...]:
    """Return a prompt in the drafter's vocabulary.

    A conversation goes through the drafter's own template. A text, or a conversation that this
    refuses, is spelled anew, special tokens by their literal text. Raises Unsupported if nothing
    is left of it.
    """
    ids: list[int] = []
    if messages:
        try:
            ids = drafter.render(messages)
        except InvalidRequest:
            ids = []
    if not ids:
        ids = _respelled(parent, drafter, prompt_ids)
    if not ids:
        raise Unsupported("the drafter's vocabulary has nothing for this prompt")
    return tuple(ids)


def _respelled(parent: Tokenizer, drafter: Tokenizer, prompt_ids: Sequence[int]) -> list[int]:
    ids, first = drafter.encode("", add_special=True), parent.encode("", add_special=True)
    rest = prompt_ids[len(first) :] if list(prompt_ids[: len(first)]) == first else prompt_ids
    for is_special, group in groupby(rest, parent.is_special):
        # What a user wrote never becomes a special token, whatever it reads like.
        for text in map(parent.token_bytes, group) if is_special else [_joined(parent, group)]:
            special = drafter.special_id(text) if is_special else None
            ids += drafter.encode(text.decode(errors="replace")) if special is None else [special]
    return ids


def _joined(tokenizer: Tokenizer, token_ids: Iterable[int]) -> bytes:
    return b"".join(map(tokenizer.token_bytes, token_ids))


def _stop_ids(parent: Tokenizer, drafter: Tokenizer, stop_ids: Iterable[int]) -> frozenset[int]:
    """Return the drafter's tokens that end an answer as these of the parent's do.

    Ordinary tokens have none: going on behind one costs a draft, and no more.
    """
    special = [stop_id for stop_id in stop_ids if parent.is_special(stop_id)]
    same = {drafter.special_id(parent.token_bytes(stop_id)) for stop_id in special}
    ends = drafter.eos_ids if parent.eos_ids.intersection(special) else frozenset()
    return frozenset(stop_id for stop_id in same if stop_id is not None) | ends


def _judged(draft: Sequence[int], truth: Sequence[int], num_kept: int | None) -> Judgement | None:
    """Return what became of a draft, of which at most `num_kept` tokens were let stand."""
    overlap = min(len(draft), len(truth))
    if not overlap:
        return None
    pairs = zip(draft, truth, strict=False)
    agreed = next((n for n, (ours, theirs) in enumerate(pairs) if ours != theirs), overlap)
    agreed = agreed if num_kept is None else min(agreed, num_kept)
    is_rejected = agreed < overlap
    return Judgement(len(draft) if is_rejected else overlap, agreed, int(is_rejected))
