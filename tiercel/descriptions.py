"""What a replica of a tier says about itself, as frozen dataclasses; fields as in tier.proto."""

from dataclasses import dataclass
from enum import Enum


class Residency(Enum):
    """Whether a model is in memory."""

    UNSPECIFIED = "unspecified"
    RESIDENT = "resident"
    LOADING = "loading"
    AWAY = "away"
    LEAVING = "leaving"


@dataclass(frozen=True)
class Speed:
    """Seconds of work, the newest weighing most; 0: not measured yet."""

    pass_s: float = 0.0  # of a pass over one token, waiting excluded
    pass_s_per_token: float = 0.0  # of each further token of a pass
    prefill_s_per_token: float = 0.0
    wait_s: float = 0.0  # that a pass waits for the model


@dataclass(frozen=True)
class DrafterRecord:
    """What one drafter did for this tier, older blocks weighing less."""

    drafter: str
    num_accepted_tokens: float = 0.0
    num_rejected_tokens: float = 0.0
    latency_s: float = 0.0  # from asking for a block to having it
    draft_s_per_token: float = 0.0
    # A look-up often has nothing to propose: how often it had a first token, and then one more.
    start_rate: float = 0.0  # 0: not known
    continue_rate: float = 0.0


@dataclass(frozen=True)
class TierDescription:
    """What one replica says about itself, and its load."""

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
    speed: Speed = Speed()
    drafters: tuple[DrafterRecord, ...] = ()
    residency: Residency = Residency.UNSPECIFIED
    load_s: float = 0.0  # that loading the model took last; 0: not known
    memory_bytes: int = 0  # that the model takes, or took; 0: not known
    mean_sessions: float = 0.0  # of the last seconds, the newest weighing most
