"""What the router tells its callers, as frozen dataclasses: decisions, answers, states of tiers."""

from dataclasses import dataclass
from enum import Enum

from tiercel.descriptions import TierDescription
from tiercel.rules import RuleUse
from tiercel.types import (
    FinishReason,
    Plan,
    Replacement,
    Rule,
    Span,
    TokenLogprob,
    Usage,
)


class ReplicaState(Enum):
    """State of a replica as the router sees it."""

    READY = "ready"
    NOT_READY = "not ready"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Candidate:
    """One plan that was weighed; None where the policy predicts nothing."""

    plan_name: str
    predicted_s: float | None = None
    predicted_quality: float | None = None
    quality_bound: float | None = None  # what the quality is at least, with confidence
    predicted_cost: float | None = None  # in the unit of the tiers' prices
    probability: float = 0.0  # with which the policy picks it
    refused: str = ""  # why it could not be picked


@dataclass(frozen=True)
class Decision:
    """Which plan was chosen for a request, and why.

    `forced`: why there was no choice. `insufficient_evidence`: a quality was asked for of which
    too little is known, and the plan is the fallback.
    """

    decision_id: str
    plan: Plan
    plan_name: str
    policy: str
    propensity: float
    candidates: tuple[Candidate, ...]
    reason: str
    compute_s: float
    forced: str = ""
    insufficient_evidence: bool = False
    predictor_digest: str = ""
    policy_epoch: str = ""  # of what feedback had learned
    policy_version: int = 0


@dataclass(frozen=True)
class StageDecision:
    """In the middle of an answer: whether its plan goes on, or a larger one takes over."""

    stage: int  # 0 for the first of an answer
    num_tokens: int  # that the answer had
    plan_name: str  # that had made them
    next_plan_name: str  # that takes over; empty: none does
    propensity: float
    expected_gain: float  # in quality
    expected_s: float
    reason: str
    forced: str = ""


@dataclass(frozen=True)
class Revise:
    """Tokens from `from_position` on are void, and of the text all but `text_length` characters."""

    from_position: int
    text_length: int
    decision: StageDecision


@dataclass(frozen=True)
class TokenEvidence:
    """How sure a model was of a token that it committed, at temperature 1; fields in nats."""

    logprob: float
    entropy: float  # of the distribution that the token was drawn from
    margin: float  # log-probability of the best token less that of the second, infinite for none


@dataclass(frozen=True)
class Committed:
    """Tokens that are final, and the text that became certain with them.

    `text_lengths` says for each token how many characters of `text` it released; a message without
    tokens holds text that the end of the answer released.
    """

    position: int
    token_ids: tuple[int, ...]
    text: str
    spans: tuple[Span, ...]
    text_lengths: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    plan_version: int = 0
    compute_s: float = 0.0
    replacements: tuple[Replacement, ...] = ()  # of draft tokens, by a rule of fusion
    evidence: tuple[TokenEvidence, ...] = ()  # one for each token, if that was asked for


@dataclass(frozen=True)
class Finished:
    """The end of an answer. `exact` says whether it is the root's, bit for bit."""

    reason: FinishReason
    usage: Usage
    seed: int
    exact: bool
    stop_string: str = ""
    lossy_rules: tuple[Rule, ...] = ()
    num_failovers: int = 0
    decision_id: str = ""
    rule_use: RuleUse | None = None  # of the root's rule; None under EXACT
    stages: tuple[StageDecision, ...] = ()  # what was decided on the way, in order
    plan_name: str = ""  # whose root answered in the end


@dataclass(frozen=True)
class Replica:
    """One replica of a tier; `description` is None if it does not answer."""

    tier: str
    address: str
    state: ReplicaState
    num_outstanding: int
    description: TierDescription | None
    problem: str = ""


@dataclass(frozen=True)
class NamedPlan:
    """A plan of the router's configuration."""

    name: str
    plan: Plan
    is_default: bool


@dataclass(frozen=True)
class Overview:
    """Every replica that the router knows, and the plans over them."""

    replicas: tuple[Replica, ...]
    plans: tuple[NamedPlan, ...]
