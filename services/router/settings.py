"""Settings of the router."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from tiercel import config
from tiercel.routing.registry import POLICIES


class Settings(config.Settings):
    """What the router can be told."""

    address: str = Field(default="localhost:50050", description="host:port to listen on")
    config: str = Field(
        default="", description="path of the TOML file of tiers and plans; empty: the built-in one"
    )
    policy: str = Field(default="static", description=f"what chooses a plan: {', '.join(POLICIES)}")
    quality: str = Field(
        default="",
        description="folder of the quality predictor that tiercel train quality wrote; "
        "shipped: that of the default tiers, which comes with Tiercel",
    )
    predictor: str = Field(
        default="", description="folder of the predictor of seconds that tiercel train fit wrote"
    )
    fitted_policies: str = Field(
        default="", description="folder of fitted policies: metallm, reward_argmax, knn"
    )
    stopping: str = Field(
        default="",
        description="stopping policy of the cascade policy, a file or a folder with one for each "
        "check point; empty: no answer is overruled",
    )
    trial_policy: str = Field(
        default="", description="policy on trial beside that one; empty: none"
    )
    trial_share: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the requests that are left to the router which the policy on trial"
        " decides, as long as feedback does not find it worse; 0: it only looks on",
    )
    exploration: float = Field(
        default=0.0, ge=0, lt=1, description="share of requests whose plan is drawn at random"
    )
    cost_weight: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="quality that a second is worth, where the caller does not say",
    )
    target_quality: float = Field(
        default=0.8, gt=0, lt=1, description="what target reaches, where the caller does not say"
    )
    switch_margin: float = Field(
        default=0.02, ge=0, description="utility by which a conversation's next plan must be better"
    )
    switch_cost: float = Field(
        default=0.03, ge=0, description="utility that reading a conversation anew costs, on top"
    )
    decision_log: str = Field(
        default="", description="file to which every decision is written as JSON lines"
    )
    feedback: str = Field(
        default="", description="host:port of feedback; empty: the address in the configuration"
    )
    feedback_token_file: Path | None = Field(
        default=None, description="file of the token that feedback knows this router by"
    )
    state_dir: Path | None = Field(
        default=None,
        description="folder, of this router alone, for outcomes that feedback cannot be told yet"
        " and for the learned policy that was heard last; without it they are in memory only",
    )
    score_share: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="share of answers in which idle drafters with a model are scored afterwards;"
        " look-ups are scored in all, unless this is 0",
    )
    audit_share: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="share of the answers under a lossy rule that are audited: given once more"
        " under exact, afterwards, and compared",
    )
    certifying_share: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="share of the answers given under exact for want of a certified strictness"
        " that are given once more under the rule, to nobody, and compared",
    )
    audit_method: Literal["likelihood", "judge", "score"] = Field(
        default="likelihood",
        description="what tells whether an answer is worse than that of exact: likelihood, judge"
        " or score",
    )
    audit_delta: float = Field(
        default=0.1,
        ge=0,
        allow_inf_nan=False,
        description="nats per token by which a worse answer is less likely to its root",
    )
    audit_judge: str = Field(
        default="", description="tier that judges both answers, for the method judge"
    )
    audit_grader: str = Field(
        default="",
        description="module:function that scores a prompt and an answer, both texts, from 0 to 1,"
        " for the method score",
    )
    max_spooled: int = Field(default=100_000, ge=1, description="outcomes that may wait on disk")
    allowed_addresses: list[str] = Field(
        default_factory=list,
        description="patterns of addresses that callers may name besides the configured replicas",
    )
    min_strictness: float = Field(
        default=0.0, ge=0, le=1, description="least strictness that callers may ask for"
    )
    max_concurrent: int = Field(default=64, ge=1, description="requests answered at once")
    max_queued: int = Field(default=256, ge=0, description="requests that may wait for their turn")
    max_wait_s: float = Field(default=30.0, gt=0, description="longest wait in the queue")
    max_request_s: float = Field(
        default=600.0, gt=0, description="deadline of a request that has none, and the longest one"
    )
    max_outage_s: float = Field(
        default=10.0, ge=0, description="how long to wait for a tier without a ready replica"
    )
    poll_s: float = Field(default=1.0, gt=0, description="seconds between looks at each replica")
    demand_fade_s: float = Field(
        default=300.0,
        gt=0,
        description="seconds in which demand for a model of a machine falls to a third",
    )
    keep_loaded_s: float = Field(
        default=30.0, ge=0, description="how long a model stays in memory after its last use"
    )
    replanning: bool = Field(
        default=True, description="whether what is below a root may change in mid-answer"
    )
    heartbeat_s: float = Field(
        default=2.0, gt=0, description="seconds between heartbeats on a silent stream"
    )
