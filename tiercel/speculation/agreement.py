"""What drafters agree on: the run of tokens that stands before the target has seen it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from tiercel import decoding
from tiercel.decoding import AgreementTable, Verdict, in_force, num_unjudged
from tiercel.errors import PlanRefused
from tiercel.speculation.judging import Terms, Verified
from tiercel.speculation.link import NO_DRAFT, Draft
from tiercel.types import Evidence, Plan, Rule

MOST_UNJUDGED = 16
"""Tokens that stand before the target looks at them, at most: a pass is to stay narrow."""


@dataclass(frozen=True)
class _Vote:
    """The token that most drafters propose in one place."""

    supporters: tuple[Draft, ...]  # who propose it, the plan's first one first
    place: int

    @property
    def token_id(self) -> int:
        return self.supporters[0].token_ids[self.place]

    @property
    def probs(self) -> list[float | None]:
        """What they give the token, None where one does not say."""
        return [one.probs[self.place] if one.probs else None for one in self.supporters]


def check_calibration(plan: Plan, table: AgreementTable | None) -> None:
    """Raise PlanRefused unless it was measured how often a tier agrees with its drafters."""
    if table is None:
        why = "has no calibration of agreement: `tiercel agreement` measures one, and the tier's"
        raise PlanRefused(f"{plan.tier} {why} setting `agreement` names its file")
    if table.target != plan.tier:
        raise PlanRefused(f"{plan.tier} has the calibration of {table.target}")
    if unknown := {one.tier for one in plan.drafters} - set(table.drafters):
        names, known = ", ".join(sorted(unknown)), ", ".join(table.drafters)
        raise PlanRefused(f"{plan.tier}'s calibration is of {known}, not of {names}")


def num_to_agree(terms: Terms) -> int:
    """Return how many drafters have to agree for a token to stand unjudged; 0 if none may.

    A tier of which more is asked than tokens has to judge them, and what was measured at one
    temperature says nothing of another.
    """
    table, rule = terms.calibration, terms.rule
    if in_force(rule) is not Rule.AGREEMENT or table is None:
        return 0
    is_measured = table.temperature == terms.params.temperature
    return rule.num_agreeing if is_measured and terms.asked is Evidence.NONE else 0


class Unjudged:
    """The tokens at the end of one sequence that stand, and that no pass has seen yet."""

    def __init__(self) -> None:
        self.token_ids: tuple[int, ...] = ()

    def clear(self) -> None:
        """Note that a pass has seen them, or that they were decided elsewhere."""
        self.token_ids = ()

    def stand(
        self, terms: Terms, drafts: Sequence[Draft], room: int, ends: frozenset[int]
    ) -> Verified | None:
        """Add the tokens on which drafts for one place agree, at most `room`; None if none do."""
        most = min(room, MOST_UNJUDGED - len(self.token_ids))
        run = agreed_run(terms, drafts, most, ends)
        number = len(run.token_ids)
        if number == 0:
            return None
        self.token_ids += run.token_ids
        verdict = Verdict(number, None, num_rejected=0, num_unjudged=number)
        return Verified(run.token_ids, verdict, terms.rule, proposed=run)


def agreed_run(terms: Terms, drafts: Sequence[Draft], most: int, ends: frozenset[int]) -> Draft:
    """Return the tokens, at most `most`, that stand unjudged of drafts for one place.

    What is in `ends` ends an answer: that is left to the target, and so is all that follows it.
    """
    least, table = num_to_agree(terms), terms.calibration
    if least == 0 or table is None or most <= 0:
        return NO_DRAFT
    votes = list(islice(_votes(drafts, least, ends), most))
    run = Draft(
        tuple(vote.token_id for vote in votes),
        tuple(vote.supporters[0].sources[vote.place] for vote in votes),
    )
    counts = tuple(len(vote.supporters) for vote in votes)
    both = zip(counts, votes, strict=True)
    probs = tuple(table.prob(terms.kind, count, vote.probs) for count, vote in both)
    drafted = decoding.Draft(run.token_ids, num_agreeing=counts, agreement_probs=probs)
    return run.part(num_unjudged(drafted, terms.rule.strictness, least))


def _votes(drafts: Sequence[Draft], least: int, ends: frozenset[int]) -> Iterator[_Vote]:
    """Yield the choice of most, place by place; who chose otherwise has no vote from there on."""
    place = 0
    while True:
        by_token: dict[int, list[Draft]] = {}
        for draft in drafts:
            if len(draft.token_ids) > place:
                by_token.setdefault(draft.token_ids[place], []).append(draft)
        drafts = max(by_token.values(), key=len, default=[])
        if len(drafts) < least or drafts[0].token_ids[place] in ends:
            return
        yield _Vote(tuple(drafts), place)
        place += 1
