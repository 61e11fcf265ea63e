"""The nouns of learning: what routers report, and what they are told in return."""

from dataclasses import dataclass
from typing import Protocol

from tiercel.replies import Candidate, StageDecision
from tiercel.rules import RuleUse
from tiercel.trials import ShadowDecision, Trial, TrialPart
from tiercel.types import FinishReason, Plan, Rule, Usage


class Event(Protocol):
    """Something to learn from; a second delivery of one `event_id` counts for nothing."""

    @property
    def event_id(self) -> str:
        """Unique to the event."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What came of one decision."""

    event_id: str
    usage: Usage
    decision_id: str = ""
    request_id: str = ""
    kind: str = ""  # the caller's own word for the kind of request
    plan_name: str = ""
    plan: Plan | None = None
    propensity: float = 1.0
    reason: FinishReason = FinishReason.LENGTH
    candidates: tuple[Candidate, ...] = ()
    policy: str = ""  # of the router, by name
    policy_epoch: str = ""  # of the learned policy under which it was decided
    policy_version: int = 0
    forced: str = ""  # why there was no choice
    stages: tuple[StageDecision, ...] = ()
    rule_use: RuleUse | None = None  # None under EXACT
    session_id: str = ""
    num_outstanding: int = 0  # requests open at the root when this one began
    cost: float | None = None  # seconds of work times prices; None: not known
    predicted_quality: float | None = None  # of the answer, by the predictor alone
    failure: str = ""  # why there is no whole answer: the error's name, or cancelled
    trial: TrialPart | None = None
    shadows: tuple[ShadowDecision, ...] = ()


@dataclass(frozen=True)
class DraftScore:
    """What a drafter would have done for an answer in which it had no part."""

    event_id: str
    decision_id: str
    kind: str
    drafter: str
    verifier: str
    num_matched_tokens: int
    num_missed_tokens: int


@dataclass(frozen=True)
class Audit:
    """An answer under a lossy rule, held against what EXACT gives with the same seed."""

    event_id: str
    decision_id: str
    kind: str
    rule: Rule
    strictness: float
    divergence: float  # share of tokens that EXACT would have refused
    harmed: bool
    method: str  # score, judge or likelihood
    loss: float = 0.0  # in the unit of the method; above 0 is worse
    policy_epoch: str = ""
    policy_version: int = 0
    certifying: bool = False  # the strictness was set on purpose


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
class StrictnessPolicy:
    """What is learned about a lossy rule, for one kind of request ("": all)."""

    rule: Rule
    kind: str
    strictness: float  # to use now, where the rule is allowed
    target_divergence: float | None = None  # the largest whose harm is certified; None: none is
    divergence: float = 0.0  # of late
    num_answers: int = 0  # behind it
    num_audits: int = 0  # under the present certificate
    num_harmed: int = 0
    harm_bound: float = 1.0  # upper bound of the share of harmed answers, valid at any time
    certified: bool = False
    frozen: bool = False


@dataclass(frozen=True)
class TierPolicy:
    """What is learned about a tier's speed, from so many open requests on."""

    tier: str
    min_outstanding: int
    pass_s: float  # over one token
    pass_s_per_token: float  # of each further one
    prefill_s_per_token: float
    first_token_p50_s: float
    first_token_p95_s: float
    num_requests: int


@dataclass(frozen=True)
class RootQuality:
    """What ratings say about the answers of one root, for one kind of request ("": all)."""

    root: str  # the tier, and its lossy rule as in tier{rule}
    kind: str
    mean: float  # expected score in [0, 1]
    lower: float
    upper: float
    num_ratings: float
    num_predicted: float = 0.0  # of these ratings: of answers whose quality was predicted
    excess: float = 0.0  # by which those scored higher than predicted, on average


@dataclass(frozen=True)
class PacingPolicy:
    """How a budget is kept."""

    target_mean_cost: float
    mean_cost: float  # of the answers of late
    num_answers: float  # behind it
    num_steps: int  # that the weight of cost has made


@dataclass(frozen=True)
class LearnedPolicy:
    """Everything learned, at one moment; versions compare only within one epoch."""

    epoch: str
    version: int
    pairs: tuple[PairPolicy, ...] = ()
    strictness: tuple[StrictnessPolicy, ...] = ()
    tiers: tuple[TierPolicy, ...] = ()
    qualities: tuple[RootQuality, ...] = ()
    cost_weight: float | None = None  # quality that a unit of cost is worth, if a budget steers it
    frozen: bool = False
    frozen_reason: str = ""
    trials: tuple[Trial, ...] = ()
    pacing: PacingPolicy | None = None  # None: no budget


@dataclass(frozen=True)
class Change:
    """One change of the policy that the store remembers as a whole."""

    version: int
    at_s: float  # since 1970, by the store's clock
    author: str
    action: str  # learned, restarted, frozen, thawed, rolled back, reset, imported or trial
    reason: str = ""
