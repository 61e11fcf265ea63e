"""Settings of a drafter."""

from pydantic import Field

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
