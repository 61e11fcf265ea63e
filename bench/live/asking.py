"""One request to a running router, timed by its client, and what it used."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bench.live.mixture import Prompt
from tiercel.clients.router import Request, RouterClient
from tiercel.replies import Committed, Decision, Finished
from tiercel.types import Usage


@dataclass(frozen=True)
class Answer:
    """What came back: the end, the tokens, and the seconds until the client had all of it."""

    end: Finished
    decision: Decision
    token_ids: tuple[int, ...]
    text: str
    seconds: float
    plan_version: int  # above 0: what is below the root was changed on the way

    @property
    def digest(self) -> str:
        """A short hash of the tokens, to tell answers apart."""
        return hashlib.sha256(repr(self.token_ids).encode()).hexdigest()[:16]


@dataclass
class _Said:
    token_ids: list[int] = field(default_factory=list)
    text: str = ""
    plan_version: int = 0

    def hear(self, event: Committed) -> None:
        self.token_ids += event.token_ids
        self.text += event.text
        self.plan_version = max(self.plan_version, event.plan_version)


async def ask(client: RouterClient, like: Request, prompt: Prompt) -> Answer:
    """Ask a prompt as `like` says; raises TiercelError. Nothing may be revised."""
    request = replace(like, prompt=prompt.messages, kind=prompt.kind)
    said, decision, end = _Said(), None, None
    began = time.perf_counter()
    async for event in client.generate(request):
        if isinstance(event, Committed):
            said.hear(event)
        elif isinstance(event, Decision):
            decision = event
        elif isinstance(event, Finished):
            end = event
    seconds = time.perf_counter() - began
    assert end is not None and decision is not None
    ids = tuple(said.token_ids)
    return Answer(end, decision, ids, said.text, seconds, said.plan_version)


def work_of(usage: Usage) -> dict[str, tuple[int, float]]:
    """Return, by tier, how many passes or draft tokens there were and their seconds."""
    work = {
        pair.drafter: (pair.num_draft_tokens, pair.draft_compute_s)
        for pair in usage.pairs
        if pair.num_draft_tokens
    }
    passes = {
        tier.tier: (tier.num_forward_passes, tier.compute_s)
        for tier in usage.tiers
        if tier.num_forward_passes
    }
    return {**work, **passes}


def seconds_per_unit(works: Sequence[dict[str, tuple[int, float]]], tier: str) -> float | None:
    """Return a tier's mean seconds of a pass or draft token; None if it did not work."""
    units = sum(work[tier][0] for work in works if tier in work)
    seconds = sum(work[tier][1] for work in works if tier in work)
    return seconds / units if units else None
