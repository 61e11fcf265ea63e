"""The maths of decoding, pure and numpy only: noise, sampling, acceptance rules, chain cost."""

from tiercel.decoding import prefix_hash
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
from tiercel.decoding.noise import Vocabulary, gumbel
from tiercel.decoding.sampling import choose, distribution, logprobs, validate
from tiercel.decoding.verify import RULES, AcceptanceRule, Verdict, verify_exact

__all__ = [
    "RULES",
    "AcceptanceRule",
    "Level",
    "Schedule",
    "Verdict",
    "Vocabulary",
    "best_num_speculative_tokens",
    "best_schedule",
    "chain_cost",
    "choose",
    "cost_per_token",
    "distribution",
    "draft_confidence",
    "expected_tokens",
    "gumbel",
    "logprobs",
    "prefix_hash",
    "validate",
    "verify_exact",
]
