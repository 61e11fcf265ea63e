"""A session and the drafters that its plan names: wait for a draft, verify it, commit."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tiercel.errors import PlanRefused
from tiercel.plan_rules import check_newer
from tiercel.speculation.budget import LossBudget
from tiercel.speculation.job import NOT_AHEAD, Ahead
from tiercel.speculation.judging import Likeness, Verified
from tiercel.speculation.length import Costs
from tiercel.speculation.link import Link, Round
from tiercel.speculation.links import Links, Proposed
from tiercel.speculation.request import Lost, Observer, Request
from tiercel.speculation.session import Session
from tiercel.speculation.statistics import count_likeness, merged_pairs
from tiercel.speculation.step_times import StepTimes
from tiercel.types import PairStats, Plan, TierStats


@dataclass(frozen=True)
class Progress:
    """Tokens that one step committed."""

    verified: Verified
    sources: tuple[str, ...]  # the tier that first proposed each token
    plan_version: int

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The tokens."""
        return self.verified.token_ids


# Opens the link to the drafter that a part of the plan begins with.
LinkOpener = Callable[[Plan, Request, Session, Observer], Link]


class Decoder:
    """Decodes one sequence with one model and any number of drafters, each perhaps a chain.

    It is the same thing at every level: the root's tokens are the answer, a middle tier's are its
    draft for the parent above. Drafters never change the tokens, only how soon they come.
    """

    def __init__(
        self,
        session: Session,
        plan: Plan,
        request: Request,
        open_link: LinkOpener,
        on_lost: Lost,
        given: Sequence[Link] = (),
    ) -> None:
        """Draft with what the plan names, and with what is `given` whatever it names."""
        self.session = session
        self.plan = plan
        self._request = replace(request, parent=plan.tier, evidence=session.evidence)
        self._open_link, self._on_lost = open_link, on_lost
        self._links = Links(self._link, plan, given)
        self._likeness: dict[str, Likeness] = {}  # by drafter
        self._followers: dict[str, Link] = {}  # by tier: drafters that go along with the model
        self._last_s = 0.0  # model time of the last pass
        self._prefill_s: float | None = None
        self._steps = StepTimes()
        self._budget = LossBudget(unlimited=request.always_draft)

    async def step(
        self, limit: int, num_top_logprobs: int | None = None, *, ahead: bool = True
    ) -> Progress | None:
        """Commit at least one and at most `limit` tokens.

        While no drafter has to be asked the model may go `ahead`, so that it need not wait for the
        next call. Returns None if the sequence was changed from outside meanwhile.
        """
        generation, began = self.session.generation, time.monotonic()
        was_alone = self.session.is_alone
        proposed, length = await self._propose(limit - 1), len(self.session.sequence)
        waited_s = time.monotonic() - began
        plan_version = self.plan.version  # a re-plan during the pass takes effect at the next block
        if generation != self.session.generation:
            return None
        needs_a_pass = num_top_logprobs is not None or self._request.measures
        if not needs_a_pass and (stood := self._agreed(proposed, waited_s)) is not None:
            return stood
        far = self._ahead(limit - 1) if ahead else NOT_AHEAD
        verified = await self.session.verify(proposed.draft, num_top_logprobs, far, proposed.others)
        if verified is None:
            return None
        if verified.proposed.token_ids and not proposed.draft.token_ids:
            proposed = Proposed(verified.proposed, (self._followers[verified.proposed.sources[0]],))
        spent_s = waited_s + verified.compute_s
        if was_alone and self.session.is_alone:
            spent_s = max(spent_s, time.monotonic() - began)
        self._observe(proposed, verified, spent_s)
        self._judged(proposed, verified, length)
        return self._progress(verified, plan_version)

    def cut(self, length: int) -> None:
        """Drop every token from position `length` on, here and further down."""
        self.session.cut(length)
        self._links.cut(length)
        self._links.changed()

    def append(self, token_ids: Sequence[int]) -> None:
        """Add tokens that were decided above."""
        self._links.cut(len(self.session.sequence))
        self.session.append(token_ids)
        self._links.changed()

    def replan(self, plan: Plan) -> None:
        """Change what lies below this tier; takes effect at the next block.

        Children with equal tier and address keep their streams, unless those have given up.
        Raises PlanRefused for another root, or a version that is not newer.
        """
        if plan.tier != self.plan.tier:
            raise PlanRefused(f"a plan's root cannot change from {self.plan.tier} to {plan.tier}")
        check_newer(plan, self.plan.version)
        self.plan = plan
        self.session.judge_by(plan.acceptance)
        evidence = self.session.evidence
        asks_otherwise = evidence is not self._request.evidence
        self._request = replace(self._request, evidence=evidence)
        self._links.replan(plan, anew=asks_otherwise)
        self._attend()

    def stats(self) -> tuple[list[PairStats], list[TierStats]]:
        """Return what this tier and all below it did so far, by pair and by tier."""
        pairs, tiers = self._links.stats()
        alike = (
            PairStats(
                drafter,
                self.plan.tier,
                num_compared=likeness.num_compared,
                total_variation=likeness.total_variation,
            )
            for drafter, likeness in self._likeness.items()
        )
        pairs = merged_pairs([*pairs, *alike])
        return pairs, [self.session.stats(self.plan.tier), *tiers]

    async def close(self) -> None:
        """End every stream further down and give the cache back."""
        self.session.close()
        await self._links.close()

    async def _propose(self, most: int) -> Proposed:
        """Return what to verify, at most `most` tokens."""
        # The first pass over a single token says what plain decoding takes.
        if not self._links or not self._steps.is_known or self.session.is_ahead:
            return Proposed()
        most = self._budget.affordable(self._steps, min(most, self.session.room - 1))
        if most <= 0:
            return Proposed()
        generation = self.session.generation
        return await self._links.propose(
            most,
            self._costs(),
            self._budget,
            lambda: generation == self.session.generation,
            num_drafts=max(1, self._num_to_agree),
        )

    @property
    def _num_to_agree(self) -> int:
        """How many drafters have to agree for a token to stand unjudged; 0: that cannot be."""
        number = self.session.num_to_agree
        return number if number <= len(self._links) else 0

    def _agreed(self, proposed: Proposed, spent_s: float) -> Progress | None:
        """Commit what drafters agree on without a pass; None if that is nothing."""
        length, named = len(self.session.sequence), {one.tier for one in self.plan.drafters}
        drafts = [draft for link, draft in proposed.heard if link.plan.tier in named]
        stood = self.session.agree(drafts, self._request.stop_token_ids)
        if stood is None:
            return None
        decided = proposed.heard_of(len(stood.token_ids))
        self._rounds(decided, stood, spent_s)
        self._judged(decided, stood, length)
        return self._progress(stood, self.plan.version)

    def _costs(self) -> Costs:
        return Costs(
            steps=self._steps,
            left_s=self._budget.left_s(self._steps.plain_s),
            sharing=self.session.num_sharing,
            last_s=self._last_s,
            prefill_s=self._prefill_s or 0.0,
            takes_trees=self.session.takes_trees,
        )

    def _observe(self, proposed: Proposed, verified: Verified, round_s: float) -> None:
        """Note a round; other sessions' passes in it count neither for drafters nor against."""
        self._last_s = verified.compute_s
        if self._prefill_s is None:
            self._prefill_s = verified.compute_s
            return
        num_seen = verified.seen.num_accepted if verified.seen else 0
        self._steps.note(num_seen + len(proposed.tree.token_ids) + 1, verified.compute_s)
        self._rounds(proposed, verified, round_s)

    def _rounds(self, proposed: Proposed, verified: Verified, round_s: float) -> None:
        num_tokens, plain_s = len(verified.token_ids), self._steps.plain_s
        self._budget.spent(round_s, num_tokens, plain_s, drafted=bool(proposed.links))
        for link, draft in proposed.by_link():
            num_accepted = verified.num_accepted_of(draft)
            link.round(Round(round_s, draft, num_accepted, num_tokens, plain_s))

    def _judged(self, proposed: Proposed, verified: Verified, length: int) -> None:
        """Tell the drafter of a draft behind `length` tokens what became of it."""
        for link, draft in proposed.by_link():
            if (num_accepted := verified.num_accepted_of(draft)) < len(draft.token_ids):
                link.rejected(length + num_accepted)
            if draft is verified.proposed and verified.likeness.num_compared:
                name = link.plan.tier
                self._likeness[name] = self._likeness.get(name, Likeness()) + verified.likeness
                count_likeness(self.plan.tier, name, verified.likeness)

    def _ahead(self, limit: int) -> Ahead:
        """Return how far the model may go on by itself: as long as no drafter is to be asked.

        One that needs no asking goes along.
        """
        if self._num_to_agree:  # each place is asked of all
            return NOT_AHEAD
        lengths = (link.num_unattended for link in self._links)
        furthest = min(limit, self.session.room - 1, *lengths)
        self._followers, draft = self._links.following(self._costs())
        return Ahead(furthest, self._request.stop_token_ids, draft)

    def _progress(self, verified: Verified, plan_version: int) -> Progress:
        sources = (*verified.proposed.sources[: verified.num_accepted], self.plan.tier)
        return Progress(verified, sources[: len(verified.token_ids)], plan_version)

    def _attend(self) -> None:
        """See at the next step what the drafters have."""
        self.session.attend()
        self._links.changed()

    def _link(self, drafter: Plan) -> Link:
        observer = Observer(self._attend, self._lost)
        return self._open_link(drafter, self._request, self.session, observer)

    def _lost(self, path: tuple[str, ...], reason: str, unreachable: bool) -> None:
        self._on_lost((self.plan.tier, *path), reason, unreachable)
