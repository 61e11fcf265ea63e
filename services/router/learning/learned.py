"""What feedback has learned: the last that was heard, in memory and in a file, or nothing."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from services.router import metrics
from services.router.background import in_background
from services.router.learning.kept_policy import read_policy, write_policy
from tiercel.clients.feedback import FeedbackClient
from tiercel.errors import TiercelError
from tiercel.learning import LearnedPolicy, PairPolicy, RootQuality, StrictnessPolicy
from tiercel.types import Rule

log = structlog.get_logger(__name__)

_MIN_BACKOFF_S, _MAX_BACKOFF_S = 0.5, 15.0


class Advice:
    """The learned policy by pair and by rule. Feedback away is no error: the last one goes on."""

    def __init__(self, file: Path | None = None) -> None:
        """Begin with the policy in a file, and keep the newest there."""
        self.policy = LearnedPolicy(epoch="", version=0)
        self._pairs: dict[tuple[str, str, str], PairPolicy] = {}
        self._strictness: dict[tuple[Rule, str], StrictnessPolicy] = {}
        self._qualities: dict[tuple[str, str], RootQuality] = {}
        self._file = file
        self._is_heard, self._silent_since = False, -math.inf
        if file is not None and (kept := read_policy(file)) is not None:
            self.take(kept)

    def take(self, policy: LearnedPolicy) -> None:
        """Follow `policy` from now on."""
        self.policy = policy
        self._pairs = {(pair.drafter, pair.verifier, pair.kind): pair for pair in policy.pairs}
        self._strictness = {(one.rule, one.kind): one for one in policy.strictness}
        self._qualities = {(one.root, one.kind): one for one in policy.qualities}
        metrics.policy_version.set(policy.version)
        metrics.cost_weight.set(policy.cost_weight or 0.0)
        log.info("a learned policy arrived", epoch=policy.epoch, version=policy.version)

    def find(self, drafter: str, verifier: str, kind: str) -> PairPolicy | None:
        """Return what is known for the kind of request, or else for all kinds together."""
        own = self._pairs.get((drafter, verifier, kind))
        return own if own is not None else self._pairs.get((drafter, verifier, ""))

    def strictness(self, rule: Rule, kind: str) -> StrictnessPolicy | None:
        """Return what is known of a rule for the kind of request, or else for all kinds together.

        What is known of the kind stands, certified or not: its audits say more of it than others'.
        """
        own = self._strictness.get((rule, kind))
        return own if own is not None else self._strictness.get((rule, ""))

    def ratings(self, root: str, kind: str) -> list[RootQuality]:
        """Return what ratings say of a root: of all kinds together, then of this kind."""
        found = (self._qualities.get((root, one)) for one in dict.fromkeys(("", kind)))
        return [one for one in found if one is not None]

    @property
    def silent_s(self) -> float:
        """Seconds since feedback was heard; infinite if it never was."""
        return 0.0 if self._is_heard else time.monotonic() - self._silent_since

    @asynccontextmanager
    async def following(self, feedback: FeedbackClient) -> AsyncIterator[None]:
        """Follow what feedback pushes while the body runs."""
        async with in_background(self._follow(feedback)):
            yield

    async def _keep(self, policy: LearnedPolicy) -> None:
        if self._file is not None:
            await asyncio.to_thread(write_policy, self._file, policy)

    async def _follow(self, feedback: FeedbackClient) -> None:
        backoff_s = _MIN_BACKOFF_S
        while True:
            try:
                async for policy in feedback.watch(self.policy):
                    self.take(policy)
                    self._is_heard = True
                    metrics.policy_heard.set_to_current_time()
                    await self._keep(policy)
                    backoff_s = _MIN_BACKOFF_S
            except TiercelError as error:
                log.debug("feedback is away", problem=str(error))
            if self._is_heard:
                self._is_heard, self._silent_since = False, time.monotonic()
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, _MAX_BACKOFF_S)
