"""The nouns of learning from outcomes: what routers report, and what they are told in return."""

from dataclasses import dataclass

from tiercel.types import FinishReason, Plan, Usage


@dataclass(frozen=True)
class Outcome:
    """What came of one decision; a second delivery of one `event_id` counts for nothing."""

    event_id: str
    usage: Usage
    decision_id: str = ""
    request_id: str = ""
    kind: str = ""  # the caller's own word for the kind of request
    plan_name: str = ""
    plan: Plan | None = None
    propensity: float = 1.0
    reason: FinishReason = FinishReason.LENGTH


@dataclass(frozen=True)
class Rating:
    """Somebody's judgement of an answer; score in [0, 1], 1 is best."""

    event_id: str
    decision_id: str
    score: float
    rater: str


@dataclass(frozen=True)
class PairPolicy:
    """What is learned about one drafter under one parent, for one kind of request ("": all)."""

    drafter: str
    verifier: str
    kind: str
    num_speculative_tokens: int
    draft_confidence: float
    acceptance_rate: float  # accepted / (accepted + rejected)
    num_judged_tokens: int
    draft_s_per_token: float
    verify_s_per_pass: float


@dataclass(frozen=True)
class LearnedPolicy:
    """Everything learned, at one moment; versions compare only within one epoch."""

    epoch: str
    version: int
    pairs: tuple[PairPolicy, ...] = ()
