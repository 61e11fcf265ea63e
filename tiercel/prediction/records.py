"""Files of prompts and of measured outcomes: JSON lines, checked as they are read."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tiercel.errors import InvalidRequest
from tiercel.types import FinishReason

PROMPTS = Path(__file__).with_name("prompts.jsonl")


class PromptLine(BaseModel):
    """A prompt of a prompts file: what a user would type."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    prompt: str = Field(min_length=1)
    kind: str = ""


class PairLine(BaseModel):
    """What one drafter did for one parent in one answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drafter: str
    verifier: str
    num_accepted_tokens: int = Field(ge=0)
    num_rejected_tokens: int = Field(ge=0)


class OutcomeLine(BaseModel):
    """One answer, measured; times in seconds, as the router saw them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str
    kind: str
    plan_name: str
    plan: str
    temperature: float
    max_new_tokens: int
    seed: int
    num_prompt_tokens: int
    num_completion_tokens: int = Field(ge=1)
    reason: FinishReason
    first_token_s: float = Field(gt=0)
    total_s: float = Field(gt=0)
    pairs: tuple[PairLine, ...]


Line = TypeVar("Line", bound=BaseModel)


def read_prompts(path: Path = PROMPTS) -> list[PromptLine]:
    """Return the prompts of a file; raises InvalidRequest that names the line."""
    return _read(path, PromptLine)


def read_outcomes(path: Path) -> list[OutcomeLine]:
    """Return the outcomes of a file; raises InvalidRequest that names the line."""
    return _read(path, OutcomeLine)


def _read(path: Path, cls: type[Line]) -> list[Line]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest("file", str(path), f"cannot be read: {error}") from None
    return [_parsed(path, number, line, cls) for number, line in enumerate(lines, 1) if line]


def _parsed(path: Path, number: int, line: str, cls: type[Line]) -> Line:
    try:
        return cls.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"])) or "line"
        raise InvalidRequest(f"{path}:{number}: {key}", line, problem["msg"]) from None
