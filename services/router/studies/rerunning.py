"""Answers once more, as they were asked for but by another rule; nobody waits for them."""

import time
from contextlib import aclosing
from dataclasses import dataclass, replace

from services.router.answer import Answer
from services.router.fleet import Fleet
from services.router.studies.off_path import Answered
from tiercel.errors import Unavailable
from tiercel.replies import Committed
from tiercel.sessions import DraftPrefix, SessionEnd
from tiercel.types import Acceptance
from tiercel.wire.requests import TokenIds

_SUFFIX = "-audit"


@dataclass(frozen=True)
class Rerun:
    """What was said this time, and how it ended."""

    said: DraftPrefix
    end: SessionEnd


class Rerunner:
    """Asks the tiers that answered before, each where it was; waits for none that is away."""

    def __init__(self, fleet: Fleet, *, heartbeat_s: float, max_request_s: float) -> None:
        self._fleet, self._heartbeat_s, self._max_request_s = fleet, heartbeat_s, max_request_s

    async def again(self, answered: Answered, acceptance: Acceptance) -> Rerun:
        """Return the answer with the same seed under another rule; raises TiercelError."""
        ask = answered.call.ask
        answer = Answer(
            replace(ask, request_id=ask.request_id + _SUFFIX, logprobs=False, num_top_logprobs=0),
            replace(answered.plan, acceptance=acceptance, version=0),
            self._fleet,
            deadline=time.monotonic() + self._max_request_s,
            heartbeat_s=self._heartbeat_s,
            max_outage_s=0.0,
        )
        await answer.prepare()
        ids, text, end = list[int](), "", None
        async with aclosing(answer.events()) as events:
            async for event in events:
                if isinstance(event, Committed):
                    ids += event.token_ids
                    text += event.text
                else:
                    end = event
        if end is None or not answer.exact:
            raise Unavailable("no replica of equal numerics answered to the end")
        words = answered.said.ids.tokenizer_fingerprint
        return Rerun(DraftPrefix(answered.plan.tier, TokenIds(tuple(ids), words), text), end)
