"""A draft in one tokenizer's tokens, spelled in another's."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from tiercel.text.segments import SegmentedText


class Vocabulary(Protocol):
    """What a bridge needs to know of a tokenizer."""

    eos_ids: frozenset[int]
    end_id: int | None  # the token that ends a turn

    def token_bytes(self, id: int) -> bytes:
        """Return the bytes of a token, of a special one its literal text."""
        ...

    def is_special(self, id: int) -> bool:
        """Return whether a token is a mark and no text."""
        ...

    def special_id(self, text: bytes) -> int | None:
        """Return the special token with this literal text."""
        ...

    def spell(self, data: bytes) -> list[int] | None:
        """Return ordinary tokens of exactly these bytes; None if there are none."""
        ...


@dataclass(frozen=True)
class Translated:
    """A draft in the parent's tokens, and where in the drafter's run these come from."""

    token_ids: tuple[int, ...] = ()
    origins: tuple[int, ...] = ()  # the drafter's token that each begins in
    # The drafter's tokens that each stands for. Where several of the parent's lie between two
    # places at which both begin a token, the first of them stands for all that lies there.
    shares: tuple[range, ...] = ()
    # The drafter's token that each is, under another id; None: it is but a spelling of some.
    # Told where it matters how tokens were drawn.
    same_as: tuple[int | None, ...] = ()

    @property
    def span_places(self) -> tuple[int, ...]:
        """How many tokens lie before each since the last place at which both begin one."""
        places: list[int] = []
        for share in self.shares:
            places.append(0 if share else places[-1] + 1)
        return tuple(places)


@dataclass(frozen=True)
class _Piece:
    """A part of a draft: text, or one special token of the parent's."""

    data: bytes
    special_id: int | None = None


def translate(
    run: Sequence[int], drafter: Vocabulary, parent: Vocabulary, *, known: bytes
) -> Translated:
    """Return the parent's tokens for a run of the drafter's that begins with `known` bytes.

    These the parent has already: a run that says otherwise there, or no more, gives nothing.
    Bytes of an unfinished character at the end are left out. A special token without a counterpart
    in the parent's vocabulary ends the draft, and so do bytes that the parent cannot spell.

    The last word may be one that the drafter has not finished, which the parent would spell
    otherwise. It is sent all the same: held back until it is certain, it costs far more tokens
    than are rejected for it.
    """
    pieces, is_open = _pieces(run, drafter, parent)
    if known:
        if not pieces or pieces[0].special_id is not None or not pieces[0].data.startswith(known):
            return Translated()
        pieces[0] = _Piece(pieces[0].data[len(known) :])
    token_ids: list[int] = []
    for piece in pieces:
        is_last = is_open and piece is pieces[-1]
        spelled = _spelled(piece, parent, is_last=is_last)
        if spelled is None:
            break
        token_ids += spelled
    return aligned(token_ids, run, drafter, parent, known=known)


def aligned(
    token_ids: Sequence[int],
    run: Sequence[int],
    drafter: Vocabulary,
    parent: Vocabulary,
    *,
    known: bytes,
) -> Translated:
    """Return where the parent's tokens behind `known` bytes come from in a run of the drafter's."""
    ends = list(accumulate(len(drafter.token_bytes(token_id)) for token_id in run))
    widths = (len(parent.token_bytes(token_id)) for token_id in token_ids)
    bounds = list(accumulate(widths, initial=len(known)))
    origins = tuple(min(bisect_right(ends, start), len(run) - 1) for start in bounds[:-1])
    return Translated(tuple(token_ids), origins, _shares(origins, bounds, ends))


def _pieces(
    run: Sequence[int], drafter: Vocabulary, parent: Vocabulary
) -> tuple[list[_Piece], bool]:
    """Return what a run says to the parent, and whether more text could follow the last of it."""
    pieces: list[_Piece] = []
    for token_id in run:
        data = drafter.token_bytes(token_id)
        if drafter.is_special(token_id):
            special_id = counterpart(token_id, drafter, parent)
            if special_id is None:
                return pieces, False
            pieces.append(_Piece(data, special_id))
        elif pieces and pieces[-1].special_id is None:
            pieces[-1] = _Piece(pieces[-1].data + data)
        else:
            pieces.append(_Piece(data))
    return pieces, True


def counterpart(token_id: int, drafter: Vocabulary, parent: Vocabulary) -> int | None:
    """Return the parent's special token of the same text, or of the same role."""
    same = parent.special_id(drafter.token_bytes(token_id))
    if same is None and token_id in drafter.eos_ids:
        return parent.end_id
    return same


def _spelled(piece: _Piece, parent: Vocabulary, *, is_last: bool) -> list[int] | None:
    if piece.special_id is not None:
        return [piece.special_id]
    return spelled_whole(piece.data, parent) if is_last else parent.spell(piece.data)


def spelled_whole(data: bytes, parent: Vocabulary) -> list[int] | None:
    """Return the parent's tokens for text, without an unfinished character at its end."""
    return parent.spell(data[: SegmentedText(data).complete_length])


def _shares(
    origins: Sequence[int], bounds: Sequence[int], ends: Sequence[int]
) -> tuple[range, ...]:
    """Return the drafter's tokens that each token stands for.

    `bounds` are where the tokens begin and the last one ends, `ends` where the drafter's end.
    """
    shares: list[range] = []
    following = min(bisect_left(ends, bounds[-1]), len(ends) - 1) + 1
    for place in reversed(range(len(origins))):
        begins_too = place == 0 or bounds[place] in ends
        shares.append(range(origins[place] if begins_too else following, following))
        following = shares[-1].start
    return tuple(reversed(shares))
