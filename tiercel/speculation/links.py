"""The drafters of one session: all are asked, the drafts that are there are taken."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat

from tiercel.speculation.budget import LossBudget
from tiercel.speculation.draft_tree import DraftTree
from tiercel.speculation.length import Costs
from tiercel.speculation.link import NO_DRAFT, Draft, Follow, Link
from tiercel.speculation.statistics import Stats, merged
from tiercel.types import Plan


@dataclass(frozen=True)
class Proposed:
    """What a step verifies, and where it comes from."""

    draft: Draft = NO_DRAFT
    links: tuple[Link, ...] = ()  # that it cost time: they brought it, or all were waited for
    others: tuple[Draft, ...] = ()  # of the same place
    heard: tuple[tuple[Link, Draft], ...] = ()  # all that was there, whether it is verified or not

    @property
    def tree(self) -> DraftTree:
        """All drafts together."""
        return DraftTree((self.draft, *self.others))

    def heard_of(self, num_places: int) -> "Proposed":
        """Return what all drafters whose drafts were there say of the first places."""
        first, *others = (draft.part(num_places) for _, draft in self.heard)
        return Proposed(first, tuple(link for link, _ in self.heard), tuple(others))

    def by_link(self) -> Iterator[tuple[Link, Draft]]:
        """Yield each drafter with its draft, nothing for one that was late."""
        return zip(self.links, chain((self.draft, *self.others), repeat(NO_DRAFT)), strict=False)


class Links:
    """One link for each drafter that the plan names below a session."""

    def __init__(
        self, open_link: Callable[[Plan], Link], plan: Plan, given: Sequence[Link] = ()
    ) -> None:
        """Open a link for each of the plan's drafters that is to draft.

        Those that are `given` come first, and stay whatever the plan names.
        """
        self._open, self._given = open_link, tuple(given)
        self._links = [*self._given, *(open_link(drafter) for drafter in _active(plan))]
        self._changed = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._past: Stats = ([], [])  # of links closed before

    def __iter__(self) -> Iterator[Link]:
        return iter(self._links)

    def __len__(self) -> int:
        return len(self._links)

    async def propose(
        self,
        most: int,
        costs: Costs,
        budget: LossBudget,
        is_current: Callable[[], bool],
        num_drafts: int = 1,
    ) -> Proposed:
        """Wait for drafts of at most `most` tokens as long as that pays, and `is_current`.

        So many drafts are waited for; if they do not come, those that are there are taken.
        """
        for link in self._links:
            link.ask(costs, most)
        began, waited_for = time.monotonic(), dict[Link, float]()
        while is_current():
            drafts = ((link, link.draft()) for link in self._links)
            ready = {link: draft for link, draft in drafts if draft.token_ids}
            due = self._due(costs, ready) if len(ready) < num_drafts else {}
            waited_for |= due
            if due and await self._wait(due, budget.left_s(costs.steps.plain_s)):
                continue
            for link in self._links:
                link.heard(ready.get(link, NO_DRAFT))
            if not ready:
                return Proposed(links=tuple(waited_for))
            most = budget.affordable(costs.steps, most, time.monotonic() - began)
            return _proposed(list(ready.items()), costs, most)
        return Proposed()

    def following(self, costs: Costs) -> tuple[dict[str, Link], Follow | None]:
        """Return the drafters that go along while the model goes on by itself, by tier.

        And what drafts with them: the first that has something to say does.
        """
        found = [(link, link.follow(costs)) for link in self._links]
        going = {link.plan.tier: (link, follow) for link, follow in reversed(found) if follow}
        follows = [follow for _, follow in reversed(going.values())]
        return {tier: link for tier, (link, _) in going.items()}, _in_turn(follows)

    def changed(self) -> None:
        """Let who waits see what the drafters have."""
        self._changed.set()

    def cut(self, length: int) -> None:
        """Note that of the session's sequence only the first `length` tokens still stand."""
        for link in self._links:
            link.cut(length)

    def replan(self, plan: Plan, *, anew: bool = False) -> None:
        """Follow another plan: equal drafters keep their links, unless those have given up.

        `anew` none does: something else is asked of them.
        """
        planned = self._links[len(self._given) :]
        old = {(link.plan.tier, link.plan.address): link for link in planned}
        self._links = list(self._given)
        for drafter in _active(plan):
            link = old.get((drafter.tier, drafter.address))
            if link is None or link.is_over or anew:
                link = self._open(drafter)
            else:
                del old[drafter.tier, drafter.address]
                link.replan(drafter)
            self._links.append(link)
        for link in old.values():
            self._retire(link)

    def stats(self) -> Stats:
        """Return what the drafters and all below them did so far, by pair and by tier."""
        return merged(self._past, *(link.stats() for link in self._links))

    async def close(self) -> None:
        """End every link."""
        for link in self._links:
            self._retire(link)
        self._links = []
        if self._closing:
            await asyncio.wait(self._closing)

    def _due(self, costs: Costs, ready: Collection[Link]) -> dict[Link, float]:
        """Return the drafters that are worth waiting for, and until when."""
        ends = {link: link.wait_until(costs) for link in self._links if link not in ready}
        return {link: end for link, end in ends.items() if end is not None}

    async def _wait(self, due: dict[Link, float], most_s: float) -> bool:
        """Wait until something changed; False if the drafters that are due kept it waiting."""
        now = time.monotonic()
        self._changed.clear()
        try:
            async with asyncio.timeout(min(max(due.values()) - now, most_s)):
                await self._changed.wait()
        except TimeoutError:
            for link in due:
                link.late()
            return False
        return True

    def _retire(self, link: Link) -> None:
        self._past = merged(self._past, link.stats())
        task = asyncio.create_task(link.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _in_turn(follows: Sequence[Follow]) -> Follow | None:
    """Return what drafts with the first that can; all see each token that is committed."""
    if len(follows) < 2:
        return follows[0] if follows else None

    def drafted(position: int, token_ids: Sequence[int], most: int) -> Draft:
        draft = NO_DRAFT
        for follow in follows:
            found = follow(position, token_ids, 0 if draft.token_ids else most)
            draft = draft if draft.token_ids else found
        return draft

    return drafted


def _chosen(ready: list[tuple[Link, Draft]]) -> tuple[Link, Draft]:
    """Return the longest draft; of drafts whose drawing matters the one that the plan names first.

    How long a run is may depend on what was drawn: to choose by it would favour some tokens.
    """
    if any(draft.distributions is not None for _, draft in ready):
        return ready[0]
    return max(ready, key=lambda each: len(each[1].token_ids))


def _proposed(ready: list[tuple[Link, Draft]], costs: Costs, most: int) -> Proposed:
    link, draft = _chosen(ready)
    proposed = _beside(Proposed(draft.part(most), (link,)), ready, costs, most)
    return replace(proposed, heard=tuple((link, draft.part(most)) for link, draft in ready))


def _beside(
    proposed: Proposed, ready: list[tuple[Link, Draft]], costs: Costs, most: int
) -> Proposed:
    """Return what is proposed with the other drafts that are worth their tokens.

    Where drawing matters those that others have too count as well: whether a draft is judged must
    not hang on what it says.
    """
    tree = DraftTree((proposed.draft,))
    is_drawn = any(draft.distributions is not None for _, draft in ready)
    for link, draft in ready:
        beside = draft.part(most)
        num_more = len(beside.token_ids) if is_drawn else tree.num_more(beside)
        if link not in proposed.links and costs.takes(num_more):
            tree = DraftTree((*tree.drafts, beside))
            proposed = replace(
                proposed, links=(*proposed.links, link), others=(*proposed.others, beside)
            )
    return proposed


def _active(plan: Plan) -> list[Plan]:
    """Return the drafters that are to draft; the version is the root's at every level."""
    return [
        replace(drafter, version=plan.version)
        for drafter in plan.drafters
        if drafter.num_speculative_tokens > 0
    ]
