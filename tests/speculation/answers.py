"""Asking a verifier for an answer, and all that must be the same however it was decoded."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.speculation.fleet import HEARTBEAT_S, Fleet, Replica
from tiercel.clients.verifier import GenerateSession, open_session
from tiercel.replies import Committed
from tiercel.sessions import Ask, DrafterLost, Opened, SessionEnd
from tiercel.types import PairStats, Plan, SamplingParams, StopConditions, TierStats, TokenLogprob
from tiercel.wire.requests import Prompt

HOT = {"temperature": 0.8, "seed": 7}


def ask(
    prompt: Prompt = "Hello there",
    *,
    max_new_tokens: int = 40,
    stop_strings: Sequence[str] = (),
    stop_ids: Sequence[int] = (),
    ignore_eos: bool = False,
    **sampling,
) -> Ask:
    """Return what to ask, log-probabilities included."""
    stop = StopConditions(max_new_tokens, frozenset(stop_ids), tuple(stop_strings))
    params = SamplingParams(**sampling)
    return Ask("request", prompt, params, stop, ignore_eos, logprobs=True, num_top_logprobs=2)


@dataclass
class Answer:
    """All events of one answer, checked to be in order, to add up, and to end once."""

    opened: Opened | None = None
    end: SessionEnd | None = None
    token_ids: list[int] = field(default_factory=list)
    text: str = ""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    commits: list[Committed] = field(default_factory=list)
    lost: list[DrafterLost] = field(default_factory=list)

    def take(self, event, first: int) -> None:
        assert self.end is None, "something came after the end"
        if isinstance(event, Opened):
            self.opened = event
        elif isinstance(event, DrafterLost):
            self.lost.append(event)
        elif isinstance(event, SessionEnd):
            self.end = event
        else:
            self._take_committed(event, first)

    def _take_committed(self, event: Committed, first: int) -> None:
        assert event.position == first + len(self.token_ids), "a token is missing or came twice"
        assert sum(span.num_tokens for span in event.spans) == len(event.token_ids)
        assert len(event.text_lengths) == len(event.token_ids) == len(event.logprobs)
        assert sum(event.text_lengths) == len(event.text) or not event.token_ids
        self.token_ids += event.token_ids
        self.text += event.text
        self.logprobs += event.logprobs
        self.commits.append(event)

    @property
    def same(self) -> tuple:
        """What must not depend on drafters, to the last bit."""
        assert self.end is not None
        usage = self.end.usage
        return (
            self.token_ids,
            self.text,
            self.text_by_token,
            self.logprobs,
            self.end.reason,
            self.end.stop_string,
            usage.num_prompt_tokens,
            usage.num_completion_tokens,
        )

    @property
    def text_by_token(self) -> list[str]:
        """The text that each token released; what the end released stands last."""
        texts = []
        for commit in self.commits:
            start = 0
            for length in commit.text_lengths:
                texts.append(commit.text[start : start + length])
                start += length
        return [*texts, self.text[len("".join(texts)) :]]

    @property
    def sources(self) -> list[str]:
        """The tier that first proposed each token."""
        spans = [span for commit in self.commits for span in commit.spans]
        return [span.tier for span in spans for _ in range(span.num_tokens)]

    def pair(self, drafter: str) -> PairStats:
        """What a drafter did; it has one parent."""
        [pair] = [pair for pair in self.end.usage.pairs if pair.drafter == drafter]
        return pair

    def tier(self, name: str) -> TierStats:
        [tier] = [tier for tier in self.end.usage.tiers if tier.tier == name]
        return tier


Watcher = Callable[[GenerateSession, Answer], object]


async def answer(
    fleet: Fleet,
    root: Replica,
    plan: Plan,
    asked: Ask,
    *,
    committed: Sequence[int] = (),
    watch: Watcher | None = None,
) -> Answer:
    """Return the whole answer; `watch` sees it, and may re-plan, after every event."""
    got = Answer()
    async with open_session(
        fleet.channel(root),
        asked,
        plan,
        committed=committed,
        timeout_s=150.0,
        heartbeat_s=HEARTBEAT_S,
    ) as session:
        async for event in session.events():
            got.take(event, len(committed))
            if watch is not None and (wait := watch(session, got)) is not None:
                await wait
    return got


async def plain(fleet: Fleet, root: Replica, asked: Ask, **options) -> Answer:
    """Return the answer of the root alone."""
    return await answer(fleet, root, root.plan(), asked, **options)


async def eventually(condition: Callable[[], bool], *, within_s: float = 60.0) -> None:
    """Wait until `condition()` holds; fails after `within_s`."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)
