"""A session and the drafters that its plan names: wait for a draft, verify it, commit."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tiercel import rpc
from tiercel.errors import PlanRefused
from tiercel.plan_rules import check_newer
from tiercel.speculation.budget import LossBudget
from tiercel.speculation.length import Costs
from tiercel.speculation.link import DrafterLink
from tiercel.speculation.request import Lost, Observer, Request
from tiercel.speculation.session import Ahead, Session, Verified
from tiercel.speculation.statistics import merged_pairs, merged_tiers
from tiercel.speculation.step_times import StepTimes
from tiercel.types import PairStats, Plan, TierStats, TokenLogprob


@dataclass(frozen=True)
class Progress:
    """Tokens that one step committed."""

    token_ids: tuple[int, ...]
    sources: tuple[str, ...]  # the tier that first proposed each
    num_accepted: int
    logprobs: tuple[TokenLogprob, ...]
    compute_s: float
    plan_version: int


@dataclass(frozen=True)
class _Draft:
    """What a step verifies, and where it comes from."""

    token_ids: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    links: tuple[DrafterLink, ...] = ()  # that were asked for it: one brought it, or all were late


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
        channels: rpc.Channels,
        on_lost: Lost,
    ) -> None:
        self.session = session
        self.plan = plan
        self._request = replace(request, parent=plan.tier)
        self._channels, self._on_lost = channels, on_lost
        self._changed = asyncio.Event()
        self._links = [self._link(drafter) for drafter in _active(plan)]
        self._closing: set[asyncio.Task[None]] = set()
        self._past: tuple[list[PairStats], list[TierStats]] = ([], [])  # of links closed before
        self._last_s = 0.0  # model time of the last pass
        self._prefill_s: float | None = None
        self._steps = StepTimes()
        self._budget = LossBudget(unlimited=request.always_draft)

    async def step(
        self, limit: int, num_top_logprobs: int | None = None, *, ahead: bool = True
    ) -> Progress | None:
        """Commit at least one and at most `limit` tokens.

        While no drafter is of use the model may go `ahead`, so that it need not wait for the next
        call. Returns None if the sequence was changed from outside meanwhile.
        """
        generation, began = self.session.generation, time.monotonic()
        draft = await self._draft(limit - 1)
        waited_s = time.monotonic() - began
        plan_version = self.plan.version  # a re-plan during the pass takes effect at the next block
        if generation != self.session.generation:
            return None
        far = self._ahead(limit - 1) if ahead and not draft.token_ids else Ahead()
        verified = await self.session.verify(draft.token_ids, num_top_logprobs, far)
        if verified is None:
            return None
        self._observe(draft, verified, waited_s)
        sources = (*draft.sources[: verified.num_accepted], self.plan.tier)
        return Progress(
            token_ids=verified.token_ids,
            sources=sources,
            num_accepted=verified.num_accepted,
            logprobs=verified.logprobs,
            compute_s=verified.compute_s,
            plan_version=plan_version,
        )

    def cut(self, length: int) -> None:
        """Drop every token from position `length` on, here and further down."""
        self.session.cut(length)
        for link in self._links:
            link.cut(length)
        self._changed.set()

    def append(self, token_ids: Sequence[int]) -> None:
        """Add tokens that were decided above."""
        self.session.append(token_ids)
        self._changed.set()

    def replan(self, plan: Plan) -> None:
        """Change what lies below this tier; takes effect at the next block.

        Children with equal tier and address keep their streams, unless those have given up.
        Raises PlanRefused for another root, or a version that is not newer.
        """
        if plan.tier != self.plan.tier:
            raise PlanRefused(f"a plan's root cannot change from {self.plan.tier} to {plan.tier}")
        check_newer(plan, self.plan.version)
        old = {(link.plan.tier, link.plan.address): link for link in self._links}
        self.plan = plan
        self._links = []
        for drafter in _active(plan):
            link = old.get((drafter.tier, drafter.address))
            if link is None or link.is_over:
                link = self._link(drafter)
            else:
                del old[drafter.tier, drafter.address]
                link.replan(drafter)
            self._links.append(link)
        for link in old.values():
            self._retire(link)
        self._attend()

    def stats(self) -> tuple[list[PairStats], list[TierStats]]:
        """Return what this tier and all below it did so far, by pair and by tier."""
        parts = [self._past, *(link.stats() for link in self._links)]
        pairs = merged_pairs(pair for part, _ in parts for pair in part)
        tiers = merged_tiers(tier for _, part in parts for tier in part)
        return pairs, [self.session.stats(self.plan.tier), *tiers]

    async def close(self) -> None:
        """End every stream further down and give the cache back."""
        self.session.close()
        for link in self._links:
            self._retire(link)
        self._links = []
        if self._closing:
            await asyncio.wait(self._closing)

    async def _draft(self, most: int) -> _Draft:
        """Wait for a draft of at most `most` tokens as long as that pays."""
        # The first pass over a single token says what plain decoding takes.
        if not self._links or not self._steps.is_known or self.session.is_ahead:
            return _Draft()
        most = self._budget.affordable(self._steps, min(most, self.session.room - 1))
        if most <= 0:
            return _Draft()
        left_s = self._budget.left_s(self._steps.plain_s)
        costs = Costs(self._steps, left_s, self.session.num_sharing, self._last_s)
        for link in self._links:
            link.ask(costs, most)
        generation, began = self.session.generation, time.monotonic()
        while generation == self.session.generation:
            ready = [link for link in self._links if link.run]
            if ready:
                most = self._budget.affordable(self._steps, most, time.monotonic() - began)
                return _taken(max(ready, key=lambda link: len(link.run)), most)
            due = [link for link in self._links if link.is_due(self._steps.plain_s)]
            if not due or not await self._wait(due):
                return _Draft(links=tuple(due))
        return _Draft()

    async def _wait(self, due: list[DrafterLink]) -> bool:
        """Wait until something changed; False if the drafters that are due kept it waiting."""
        prefill_s, step_s, now = self._prefill_s or 0.0, self._steps.plain_s, time.monotonic()
        for link in due:
            link.pace.asked(now)
        until = max(link.pace.wait_until(prefill_s, step_s) for link in due)
        until = min(until, now + self._budget.left_s(step_s))
        self._changed.clear()
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await self._changed.wait()
        except TimeoutError:
            for link in due:
                link.late()
            return False
        return True

    def _observe(self, draft: _Draft, verified: Verified, waited_s: float) -> None:
        self._last_s = verified.compute_s
        if self._prefill_s is None:
            self._prefill_s = verified.compute_s
            return
        self._steps.note(len(draft.token_ids) + 1, verified.compute_s)
        # Other sessions' passes in between count neither for drafters nor against them.
        round_s, num_tokens = waited_s + verified.compute_s, len(verified.token_ids)
        plain_s = self._steps.plain_s
        self._budget.spent(round_s, num_tokens, plain_s, drafted=bool(draft.links))
        for link in draft.links:
            link.round(round_s, len(draft.token_ids), num_tokens, plain_s)

    def _ahead(self, limit: int) -> Ahead:
        """Return how far the model may go on by itself: as long as no drafter is to be asked."""
        lengths = (link.num_unattended for link in self._links)
        furthest = min(limit, self.session.room - 1, *lengths)
        return Ahead(furthest, self._request.stop_token_ids)

    def _attend(self) -> None:
        """See at the next step what the drafters have."""
        self.session.attend()
        self._changed.set()

    def _link(self, drafter: Plan) -> DrafterLink:
        observer = Observer(self._attend, self._lost)
        channel, session = self._channels.to(drafter.address), self.session
        hidden = session.hidden.feed()
        return DrafterLink(drafter, self._request, session.sequence, channel, observer, hidden)

    def _lost(self, path: tuple[str, ...], reason: str, unreachable: bool) -> None:
        self._on_lost((self.plan.tier, *path), reason, unreachable)

    def _retire(self, link: DrafterLink) -> None:
        pairs, tiers = link.stats()
        self._past = (
            merged_pairs([*self._past[0], *pairs]),
            merged_tiers([*self._past[1], *tiers]),
        )
        task = asyncio.create_task(link.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _active(plan: Plan) -> list[Plan]:
    """Return the drafters that are to draft; the version is the root's at every level."""
    return [
        replace(drafter, version=plan.version)
        for drafter in plan.drafters
        if drafter.num_speculative_tokens > 0
    ]


def _taken(link: DrafterLink, most: int) -> _Draft:
    count = min(most, link.num_wanted)
    return _Draft(tuple(link.run[:count]), tuple(link.sources[:count]), (link,))
