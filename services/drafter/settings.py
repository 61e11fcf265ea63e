"""Settings of a drafter."""

from pydantic import Field

from tiercel.models.embedded import DEFAULT_MODEL
from tiercel.speculation.settings import TierSettings


class Settings(TierSettings):
    """What a drafter can be told."""

    address: str = Field(default="localhost:50061", description="host:port to listen on")
    tier: str = Field(default="suffix", min_length=1, description="name of the tier")
    engine: str = Field(default="suffix", description="suffix, distilled, or a model's engine")
    min_confidence: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="suffix: a block ends where its likelihood falls below this, if not the plan's",
    )
    pool_tokens: int = Field(
        default=200_000,
        ge=0,
        description="suffix: tokens of recent outputs that sessions share; 0 shares none",
    )
    ngram: str = Field(
        default=DEFAULT_MODEL,
        description="suffix: n-gram table to draft from too: the name of one that comes with "
        "tiercel, or a file of `tiercel distill ngram`; empty: none. For its own tokenizer only",
    )
