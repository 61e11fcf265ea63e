"""What a rule says of a draft, and the walk along a draft that most rules share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tiercel.decoding.cosd_tree import CosdTree
from tiercel.decoding.draft import Draft
from tiercel.decoding.randomness import Randomness
from tiercel.decoding.target import Row, Target
from tiercel.types import Replacement


@dataclass(frozen=True)
class Divergence:
    """A committed token that EXACT would have refused."""

    index: int  # among the committed tokens of the verdict
    exact_token: int  # what EXACT gives there
    logprob_gap: float  # log-probability of that less the token's own, nats, at temperature 1


@dataclass(frozen=True)
class Verdict:
    """What a rule says of a draft: its first `num_accepted` tokens stand, then `next_token`."""

    num_accepted: int
    next_token: int | None  # recovered after a rejection, else the bonus; fusion has no bonus
    num_rejected: int  # 0 or 1: what follows a rejection was not judged
    num_compared: int = 0  # committed tokens that were compared with EXACT's: all, if lossy
    divergences: tuple[Divergence, ...] = ()
    num_unjudged: int = 0  # of the accepted, those that would stand whatever the target says
    replacement: Replacement | None = None  # the token of fusion that `next_token` is

    def committed(self, draft: Sequence[int]) -> tuple[int, ...]:
        """Return the tokens that the verdict adds to the sequence."""
        following = () if self.next_token is None else (self.next_token,)
        return (*draft[: self.num_accepted], *following)


@dataclass(frozen=True)
class Leeway:
    """How far a rule may go from EXACT, and the numbers that it may throw coins with."""

    strictness: float
    randomness: Randomness  # independent of whatever the draft was drawn with
    num_agreeing: int = 2  # AGREEMENT only
    tree: CosdTree | None = None  # COSD_TREE only

    @property
    def odds(self) -> float:
        """(1 - strictness) / strictness: 0 at 1, 1 in the middle, infinite at 0."""
        return (1 - self.strictness) / self.strictness if self.strictness > 0 else float("inf")


class AcceptanceRule(Protocol):
    """Judges a draft against the target's logits."""

    def __call__(self, draft: Draft, target: Target, leeway: Leeway) -> Verdict:
        """Return the verdict.

        Raises ModelFault for logits of a wrong shape, NaN, or nothing finite in a row that is
        read, InvalidRequest for a draft token that its own distribution does not hold.
        """
        ...


Decision = Callable[[Row], bool]
Choice = Callable[[Row], int | None]


def exact_token(row: Row) -> int | None:
    """Return the token that EXACT gives: what a lossy rule falls back to."""
    return row.exact


def walk(
    draft: Draft,
    target: Target,
    stands: Decision,
    recovered: Choice = exact_token,
    bonus: Choice = exact_token,
    *,
    compares: bool = True,
) -> Verdict:
    """Judge a draft token by token, up to the first one that does not stand.

    `stands` is asked for the draft token `row.index`, `recovered` for what takes its place, and
    `bonus` for what follows a draft that stands whole; no token does where they give None.
    `compares` counts the tokens that EXACT would have refused. Raises ModelFault for logits of a
    wrong shape, NaN or nothing finite in a row that is read.
    """
    target.check(len(draft))
    offset = target.offset
    divergences: list[Divergence] = []

    def note(row: Row, token_id: int | None) -> None:
        if compares and token_id is not None and token_id != row.exact:
            divergences.append(Divergence(row.index, row.exact, row.gap(token_id)))

    for index, token_id in enumerate(draft.token_ids):
        row = Row(target, index, offset)
        if not stands(row):
            break
        note(row, token_id)
        offset = target.vocabulary.advance(offset, (token_id,))
    else:
        row = Row(target, len(draft), offset)
    is_whole = row.index == len(draft)
    following = bonus(row) if is_whole else recovered(row)
    note(row, following)
    return Verdict(
        num_accepted=row.index,
        next_token=following,
        num_rejected=0 if is_whole else 1,
        num_compared=row.index + (following is not None) if compares else 0,
        divergences=tuple(divergences),
    )
