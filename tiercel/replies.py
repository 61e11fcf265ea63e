"""What the router tells its callers, as frozen dataclasses: decisions, answers, states of tiers."""

from dataclasses import dataclass
from enum import Enum

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


@dataclass(frozen=True)
class Decision:
    """Which plan was chosen for a request, and why."""

    decision_id: str
    plan: Plan
    plan_name: str
    policy: str
    propensity: float
    candidates: tuple[Candidate, ...]
    reason: str
    compute_s: float


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


@dataclass(frozen=True)
class TierDescription:
    """What one replica says about itself; fields as in tier.proto."""

    tier: str
    model: str
    engine: str
    dtype: str
    numerics_id: str
    bit_exact: bool
    tokenizer_fingerprint: str
    vocab_size: int
    max_length: int
    verifies: bool
    drafts: bool
    num_sessions: int
    max_sessions: int
    num_waiting_passes: int
    uptime_s: float


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
