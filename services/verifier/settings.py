"""Settings of a verifier."""

from pydantic import Field

from tiercel.speculation.settings import TierSettings


class Settings(TierSettings):
    """What a verifier can be told."""

    address: str = Field(default="localhost:50051", description="host:port to listen on")
    tier: str = Field(default="target", min_length=1, description="name of the tier")
