"""Tiers of toy models on real sockets, and long answers under any rule, counted token by token."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.verifier.servicer import VerifierServicer
from tests.speculation.fleet import HEARTBEAT_S, Fleet, PatientTier, Replica
from tests.speculation.toy_models import ToyModel, letters
from tiercel.clients.verifier import GenerateSession, open_session
from tiercel.replies import Committed
from tiercel.sessions import Ask, DrafterLost, SessionEnd, SessionEvent
from tiercel.speculation.model_tier import Habits, ModelTier
from tiercel.speculation.runner import ModelRunner
from tiercel.types import Plan, SamplingParams, StopConditions

Watch = Callable[[GenerateSession, "Stream"], None]


async def toy(
    fleet: Fleet,
    name: str,
    probs: NDArray[np.float64],
    *,
    tier_class: type[ModelTier] = PatientTier,
    takes_trees: bool = False,
    **habits,
) -> Replica:
    """Start a tier whose model has this table of next-token probabilities."""
    chosen = Habits(**{"always_draft": True, "heartbeat_s": HEARTBEAT_S} | habits)
    tokenizer = letters(len(probs))

    def build() -> tuple[ModelTier, VerifierServicer]:
        tier = tier_class(name, ModelRunner(ToyModel(probs, name, takes_trees)), tokenizer, chosen)
        return tier, VerifierServicer(tier, max_request_s=580.0)

    return await fleet.start(name, build)


@dataclass
class Stream:
    """What came of one answer."""

    token_ids: list[int] = field(default_factory=list)
    end: SessionEnd | None = None
    lost: list[DrafterLost] = field(default_factory=list)

    def counts(self, vocab_size: int) -> NDArray[np.int64]:
        return np.bincount(self.token_ids, minlength=vocab_size)


def long_ask(num_tokens: int, *, seed: int, temperature: float = 1.0, **sampling) -> Ask:
    params = SamplingParams(temperature=temperature, seed=seed, **sampling)
    return Ask("request", "a", params, StopConditions(num_tokens))


async def stream(
    fleet: Fleet,
    root: Replica,
    plan: Plan,
    asked: Ask,
    *,
    watch: Watch | None = None,
    see: Callable[[SessionEvent], None] = lambda event: None,
    committed=(),
) -> Stream:
    """Return the answer; `watch` sees it after every event, and may re-plan or end it."""
    got = Stream()
    opening = open_session(
        fleet.channel(root),
        asked,
        plan,
        committed=committed,
        timeout_s=580.0,
        heartbeat_s=HEARTBEAT_S,
    )
    async with opening as session:
        async for event in session.events():
            see(event)
            if isinstance(event, Committed):
                got.token_ids += event.token_ids
            elif isinstance(event, DrafterLost):
                got.lost.append(event)
            elif isinstance(event, SessionEnd):
                got.end = event
            if watch is not None:
                watch(session, got)
                await asyncio.sleep(0)
    return got
