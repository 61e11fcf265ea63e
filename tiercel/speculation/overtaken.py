"""A text that another tier gave in an answer's place, as one more drafter of the answer."""

from dataclasses import replace

from tiercel.engines.guesses import Source
from tiercel.engines.overtaken import OvertakenText
from tiercel.plan_rules import LOCAL
from tiercel.speculation.drafter_records import DrafterRecords
from tiercel.speculation.local_link import LocalLink
from tiercel.speculation.lookup import Basis, Lookups
from tiercel.speculation.request import Request
from tiercel.speculation.row_cost import RowCost
from tiercel.speculation.session import Session
from tiercel.types import Plan

# Tokens of the text that are judged at once, at most.
_MOST_AT_ONCE = 32


class _OneText(Lookups):
    """Nothing to look up in but the text; nothing is remembered."""

    def __init__(self, text: OvertakenText) -> None:
        super().__init__(Basis(pool_tokens=0))
        self._text = text

    def sources(self, fingerprint: str) -> list[Source]:
        """Return the text: it is of one session, and so of one vocabulary."""
        return [self._text]


def overtaken_links(request: Request, session: Session, row_cost: RowCost) -> tuple[LocalLink, ...]:
    """Return what drafts with the text that the request came with; nothing without one."""
    prefix = request.draft_prefix
    if prefix is None or not prefix.ids.token_ids:
        return ()
    text = OvertakenText(request.num_prompt_tokens, prefix.ids.token_ids)
    plan = Plan(prefix.tier, LOCAL, num_speculative_tokens=_MOST_AT_ONCE)
    # What becomes of a text says nothing of how its author drafts.
    apart = replace(request, records=DrafterRecords())
    return (LocalLink(plan, apart, session, _OneText(text), row_cost),)
