"""A look-up drafter in its parent's own process: no stream, no waiting, some microseconds a draft.

It drafts in the event loop when it is asked, and in the model's thread while the model goes on by
itself; it never leaves the parent, and a draft that is empty costs nothing.
"""

import sys
import time
from collections.abc import Sequence

from tiercel.draft_stream import Judgement
from tiercel.errors import PlanRefused
from tiercel.speculation.drafter_records import Proposals
from tiercel.speculation.length import Costs
from tiercel.speculation.link import Draft, Follow, Round
from tiercel.speculation.lookup import Lookups, LookupSession
from tiercel.speculation.request import Request
from tiercel.speculation.row_cost import RowCost
from tiercel.speculation.session import Session
from tiercel.speculation.statistics import count_judgement
from tiercel.types import PairStats, Plan, TierStats

_NOTHING = Draft()
# Looking a token up, against a pass of a model.
_LOOK_UP_S = 20e-6
# What a token costs where drafts pay, over a plain pass: so much one more is worth.
_WORTH = 0.7


class LocalLink:
    """One look-up drafter of one request.

    It drafts as long as a guess is worth its place in a pass: what a further token costs, for all
    sessions in the pass, over what one is worth.
    """

    def __init__(
        self,
        plan: Plan,
        request: Request,
        session: Session,
        lookups: Lookups,
        row_cost: RowCost,
    ) -> None:
        """Draft for a session of the tier that `lookups` and `row_cost` belong to."""
        self.plan = plan
        self.is_open, self.is_over = True, False
        self._request, self._session, self._lookups = request, session, lookups
        self._row_cost = row_cost
        self._pair = PairStats(plan.tier, request.parent)
        with lookups.lock:
            sources = lookups.sources(request.tokenizer_fingerprint)
        self._sequence = LookupSession(plan.tier, sources)
        self._sound_length = 0  # of what the sequence begins with, the parent's tokens still
        self._generation = 0  # grows whenever what the model did ahead may be void
        self._costs: Costs | None = None
        self._draft, self._drafted_at = _NOTHING, 0
        self._compute_s = 0.0
        self._proposals = Proposals()  # since they were told last
        self.replan(plan)

    @property
    def num_unattended(self) -> int:
        """The parent need not look here: the model's thread does."""
        return sys.maxsize

    def ask(self, costs: Costs, most: int) -> None:
        """Draft at most `most` tokens behind the parent's sequence as it is by now."""
        self._costs = costs
        tokens, length = self._session.sequence, len(self._session.sequence)
        with self._lookups.lock:
            start = min(self._sound_length, length)
            self._draft = self._drafted(start, tokens.tokens(start), most)
            self._drafted_at = self._sound_length = length

    def draft(self) -> Draft:
        """Return what was drafted, unless the parent's sequence has changed since."""
        return self._draft if len(self._session.sequence) == self._drafted_at else _NOTHING

    def follow(self, costs: Costs) -> Follow:
        """Return what drafts in the model's thread while the model goes on by itself."""
        self._costs, generation = costs, self._generation

        def drafted(position: int, token_ids: Sequence[int], most: int) -> Draft:
            with self._lookups.lock:
                if generation != self._generation:
                    return _NOTHING
                start, tokens = position, token_ids
                if self._sound_length < position:
                    # The first time: the parent's thread adds nothing while the model is ahead.
                    start = self._sound_length
                    known = self._session.sequence.tokens(start, position)
                    tokens = [*known, *token_ids]
                self._sound_length = start + len(tokens)
                return self._drafted(start, tokens, most)

        return drafted

    def wait_until(self, costs: Costs) -> None:
        """Wait for nothing."""

    def heard(self, draft: Draft) -> None:
        """Tell what was proposed since the last time, also while the model was ahead."""
        with self._lookups.lock:
            proposals, self._proposals = self._proposals, Proposals()
        self._request.records.proposed(self.plan.tier, proposals)

    def late(self) -> None:
        """Be never late."""

    def round(self, round: Round) -> None:
        """Note what became of a draft."""
        number = len(round.draft.token_ids)
        if number:
            judgement = Judgement(number, round.num_accepted, int(round.num_accepted < number))
            count_judgement(self._pair, judgement)
            self._request.records.judged(self.plan.tier, judgement)

    def rejected(self, position: int) -> None:
        """See that by the tokens that stand there."""

    def cut(self, length: int) -> None:
        """Note that of the parent's sequence only the first `length` tokens still stand."""
        with self._lookups.lock:
            self._generation += 1
            self._sound_length = min(self._sound_length, length)

    def replan(self, plan: Plan) -> None:
        """Take a new length and confidence; raises PlanRefused for drafters of a look-up."""
        if plan.drafters:
            raise PlanRefused(f"{plan.tier} has no model: nothing can draft for it")
        self.plan = plan

    def stats(self) -> tuple[list[PairStats], list[TierStats]]:
        """Return what was drafted, and the time that it took."""
        self._pair.draft_compute_s = self._compute_s
        return [self._pair], [TierStats(self.plan.tier, compute_s=self._compute_s)]

    async def close(self) -> None:
        """Leave what was committed to other sessions."""
        self.heard(_NOTHING)
        self.cut(len(self._session.sequence))
        fingerprint, start = self._request.tokenizer_fingerprint, self._request.num_prompt_tokens
        output = self._session.sequence.tokens(start)
        with self._lookups.lock:
            self._lookups.remember(fingerprint, output)

    def _drafted(self, start: int, tokens: Sequence[int], most: int) -> Draft:
        began = time.perf_counter()
        self._sequence.follow(start, tokens)
        most = min(most, self.plan.num_speculative_tokens)
        if most <= 0:
            return _NOTHING
        found = self._sequence.propose(most, self._min_confidence())
        self._proposals.note(most, len(found.tokens))
        self._compute_s += time.perf_counter() - began
        sources = (self.plan.tier,) * len(found.tokens)
        return Draft(tuple(found.tokens), sources, tuple(found.confidences))

    def _min_confidence(self) -> float:
        asked = self.plan.draft_confidence or self._lookups.basis.min_confidence
        return asked if self._request.always_draft else max(asked, self._price())

    def _price(self) -> float:
        """Return what a further token of a pass costs over what a token is worth."""
        steps = self._costs.steps if self._costs is not None else None
        look_up = _LOOK_UP_S / steps.plain_s if steps is not None and steps.is_known else 0.0
        return (self._row_cost.share * self._session.num_sharing + look_up) / _WORTH
