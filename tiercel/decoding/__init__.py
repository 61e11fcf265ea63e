"""The maths of decoding, pure and numpy only: noise, sampling, acceptance rules, chain cost."""

from tiercel.decoding import prefix_hash
from tiercel.decoding.agreement import num_unjudged
from tiercel.decoding.agreement_table import AgreementTable
from tiercel.decoding.chain_cost import (
    Level,
    Schedule,
    best_num_speculative_tokens,
    best_schedule,
    chain_cost,
    cost_per_token,
    draft_confidence,
    expected_tokens,
)
from tiercel.decoding.cosd_tree import CosdTree
from tiercel.decoding.distributions import (
    MAX_SUPPORT,
    TokenDistribution,
    draft_distribution,
    model_probs,
    renamed,
    total_variation,
)
from tiercel.decoding.draft import Draft, check_draft
from tiercel.decoding.noise import Vocabulary, gumbel
from tiercel.decoding.randomness import Randomness
from tiercel.decoding.rules import (
    RULES,
    Claim,
    evidence_for,
    in_force,
    judge_together,
    may_judge_together,
    may_lie_below,
    verify,
)
from tiercel.decoding.sampling import choose, distribution, logprobs, validate
from tiercel.decoding.target import Target
from tiercel.decoding.verdict import AcceptanceRule, Divergence, Verdict

__all__ = [
    "MAX_SUPPORT",
    "RULES",
    "AcceptanceRule",
    "AgreementTable",
    "Claim",
    "CosdTree",
    "Divergence",
    "Draft",
    "Level",
    "Randomness",
    "Schedule",
    "Target",
    "TokenDistribution",
    "Verdict",
    "Vocabulary",
    "best_num_speculative_tokens",
    "best_schedule",
    "chain_cost",
    "check_draft",
    "choose",
    "cost_per_token",
    "distribution",
    "draft_confidence",
    "draft_distribution",
    "evidence_for",
    "expected_tokens",
    "gumbel",
    "in_force",
    "judge_together",
    "logprobs",
    "may_judge_together",
    "may_lie_below",
    "model_probs",
    "num_unjudged",
    "prefix_hash",
    "renamed",
    "total_variation",
    "validate",
    "verify",
]
