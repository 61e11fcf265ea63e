"""A session at a tier, what comes of it, and what is learned from it, as frozen dataclasses."""

from dataclasses import dataclass, field

from tiercel.replies import Committed, Decision
from tiercel.types import FinishReason, SamplingParams, StopConditions, Usage
from tiercel.wire.requests import Prompt, TokenIds


@dataclass(frozen=True)
class Ask:
    """What is to be answered, whoever answers it; its seed is known."""

    request_id: str
    prompt: Prompt
    sampling: SamplingParams
    stop: StopConditions
    ignore_eos: bool = False
    logprobs: bool = False
    num_top_logprobs: int = 0


@dataclass(frozen=True)
class Opened:
    """A session is open: its prompt as ids, and who answers."""

    prompt: TokenIds
    tier: str
    numerics_id: str


@dataclass(frozen=True)
class DrafterLost:
    """A drafter was lost; `path` names the tiers from the root down to it."""

    path: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class SessionEnd:
    """The end of a session that did not fail."""

    reason: FinishReason
    usage: Usage
    stop_string: str = ""


SessionEvent = Opened | Committed | DrafterLost | SessionEnd


@dataclass(frozen=True)
class Outcome:
    """What came of one decision; a second delivery of `event_id` counts once."""

    event_id: str
    decision: Decision
    request_id: str
    kind: str
    end: SessionEnd


@dataclass(frozen=True)
class Learned:
    """What feedback advises for one drafter under one verifier, for one kind of request."""

    num_speculative_tokens: int
    draft_confidence: float


@dataclass(frozen=True)
class LearnedPolicy:
    """All advice at one moment, by (drafter, verifier, kind); kind "" is for every kind."""

    epoch: str = ""
    version: int = 0
    pairs: dict[tuple[str, str, str], Learned] = field(default_factory=dict)

    def find(self, drafter: str, verifier: str, kind: str) -> Learned | None:
        """Return the advice for the kind of request, or else for all kinds together."""
        own = self.pairs.get((drafter, verifier, kind))
        return own if own is not None else self.pairs.get((drafter, verifier, ""))
