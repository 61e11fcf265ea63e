"""What is asked of a tier, and what a session at it gives back, as frozen dataclasses."""

from dataclasses import dataclass, field
from enum import Enum

from tiercel.plan_text import Outline
from tiercel.replies import Committed
from tiercel.routing.policy import Wishes
from tiercel.rules import RuleUse
from tiercel.types import (
    Acceptance,
    Constraint,
    FinishReason,
    SamplingParams,
    StopConditions,
    Usage,
)
from tiercel.wire.requests import Prompt, TokenIds


@dataclass(frozen=True)
class DraftPrefix:
    """What another tier said in an answer's place: a draft, and as such judged."""

    tier: str
    ids: TokenIds  # in that tier's vocabulary
    text: str  # the same, for a tier with another tokenizer


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
    constraint: Constraint | None = None
    evidence: bool = False  # of each token, from the tier to the router
    draft_prefix: DraftPrefix | None = None
    kind: str = ""  # the caller's own word for the kind of request


@dataclass(frozen=True)
class Opened:
    """A session is open: its prompt as ids, and who answers."""

    prompt: TokenIds
    tier: str
    numerics_id: str


@dataclass(frozen=True)
class DrafterLost:
    """A drafter was lost; `path` names the tiers from the root down to it.

    `unreachable`: it could not be reached or fell silent; if not, it answered, but to no use.
    """

    path: tuple[str, ...]
    reason: str
    unreachable: bool = False


@dataclass(frozen=True)
class SessionEnd:
    """The end of a session that did not fail."""

    reason: FinishReason
    usage: Usage
    stop_string: str = ""
    rule_use: RuleUse | None = None  # of the root's rule; None under EXACT


SessionEvent = Opened | Committed | DrafterLost | SessionEnd


class Delivery(Enum):
    """When tokens are sent that a larger tier may still overrule."""

    STREAM = "stream"  # as they are committed, and never taken back
    HOLD = "hold"  # not before it is certain that no larger tier is asked
    REVISE = "revise"  # as they are committed; a larger tier may take some back


@dataclass(frozen=True)
class Objective:
    """What a caller wants: at most one of plan_name, outline and policy, none leaves it to us.

    `acceptance` is the rule for the root of whatever plan that gives; None is the plan's own.
    """

    plan_name: str = ""
    outline: Outline | None = None
    policy: str = ""
    acceptance: Acceptance | None = None
    wishes: Wishes = field(default_factory=Wishes)
    delivery: Delivery = Delivery.STREAM
