"""The maths of decoding, pure and numpy only: noise, sampling, acceptance rules, block cost."""

from tiercel.decoding import prefix_hash
from tiercel.decoding.block_cost import (
    Level,
    best_num_speculative_tokens,
    cost_per_token,
    expected_tokens,
)
from tiercel.decoding.noise import Vocabulary, gumbel
from tiercel.decoding.sampling import choose, distribution, logprobs, validate
from tiercel.decoding.verify import RULES, AcceptanceRule, Verdict, verify_exact

__all__ = [
    "RULES",
    "AcceptanceRule",
    "Level",
    "Verdict",
    "Vocabulary",
    "best_num_speculative_tokens",
    "choose",
    "cost_per_token",
    "distribution",
    "expected_tokens",
    "gumbel",
    "logprobs",
    "prefix_hash",
    "validate",
    "verify_exact",
]
