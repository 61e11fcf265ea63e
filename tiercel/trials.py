"""The nouns of a policy's trial: a request's part in it, and how it stands."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrialPart:
    """One request's part in the trial of a policy."""

    policy: str
    incumbent: str  # that it is to replace
    share: float  # of requests that it is given
    tried: bool  # whether this request is one of them
    fault: str = ""  # in the policy itself, so that the incumbent decided instead


@dataclass(frozen=True)
class ShadowDecision:
    """What a policy on trial would have done with a request that another one decided."""

    policy: str
    incumbent: str  # that decided
    plan_name: str  # that it would most likely have taken
    agreement: float  # its odds of the plan that was taken
    utility_gain: float | None = None  # of its odds over those in force, expected


@dataclass(frozen=True)
class TrialComparison:
    """How a policy on trial compares with the incumbent in one respect; more is worse."""

    respect: str  # failure, latency, cost or quality
    num_requests: int  # of the policy on trial
    num_incumbent: int
    trial: float  # mean
    incumbent: float
    excess: float  # of the first over the second, at the least, with confidence at every look
    allowed: float


@dataclass(frozen=True)
class TrialShadow:
    """What a policy on trial did where it only looked on."""

    num_requests: int
    agreement: float  # mean odds of the plan that was taken
    utility_gain: float = 0.0  # mean, where it is known
    num_gains: int = 0


@dataclass(frozen=True)
class Trial:
    """A policy of the router on trial; with a share of 0 it decides in the shadow."""

    policy: str
    share: float
    rolled_back: bool = False
    reason: str = ""
    incumbent: str = ""  # that it is to replace
    num_requests: int = 0  # that it decided; of a conversation only the first counts
    num_incumbent: int = 0
    comparisons: tuple[TrialComparison, ...] = ()
    shadow: TrialShadow | None = None
