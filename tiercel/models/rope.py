"""What long-context models of the llama family divide their rotary frequencies by."""

import math
from typing import Any

import numpy as np


def llama3_divisors(settings: dict[str, Any], theta: float, head_dim: int) -> tuple[float, ...]:
    """Return one divisor for each frequency, as Llama 3.1 has them (arXiv:2407.21783).

    Frequencies that turn often within the original context stay, slow ones are divided by
    `factor`, and those in between partly. Raises KeyError for a setting that is missing.
    """
    factor, context = settings["factor"], settings["original_max_position_embeddings"]
    slow, fast = settings["low_freq_factor"], settings["high_freq_factor"]
    exponents = np.arange(0, head_dim, 2) / head_dim
    turns = context * theta**-exponents / (2 * math.pi)
    kept = np.clip((turns - slow) / (fast - slow), 0, 1)
    return tuple((1 / (kept + (1 - kept) / factor)).tolist())
