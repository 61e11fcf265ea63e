"""Texts that a tier is to score, and what it makes of them, as frozen dataclasses."""

from dataclasses import dataclass, field

from tiercel.types import SamplingParams, TokenLogprob
from tiercel.wire.requests import Prompt, TokenIds

Continuation = str | TokenIds


@dataclass(frozen=True)
class ScoreAsk:
    """Continuations of one prompt that are to be scored; none of them is generated."""

    prompt: Prompt
    continuations: tuple[Continuation, ...]
    sampling: SamplingParams = field(default_factory=SamplingParams)  # of the tier's own choices
    num_top_logprobs: int = 0
    request_id: str = ""


@dataclass(frozen=True)
class Choice:
    """What a tier would have chosen in one place: None if it has nothing to propose there."""

    token_id: int | None
    prob: float  # how sure it is, in [0, 1]; of a model its probability at temperature 1


@dataclass(frozen=True)
class ScoredContinuation:
    """One continuation, token by token; a tier without logits gives its choices only."""

    token_ids: tuple[int, ...]  # in the tier's vocabulary
    choices: tuple[Choice, ...]
    logprobs: tuple[TokenLogprob, ...] = ()  # at temperature 1
    entropies: tuple[float, ...] = ()  # of the model's distribution, nats
    margins: tuple[float, ...] = ()  # log-probability of the best token less that of the second

    @property
    def mean_logprob(self) -> float:
        """Return the mean log-probability per token at temperature 1; there has to be one."""
        return sum(one.logprob for one in self.logprobs) / len(self.logprobs)


@dataclass(frozen=True)
class Scores:
    """What a tier makes of the continuations, in order."""

    continuations: tuple[ScoredContinuation, ...]
    tier: str
    numerics_id: str = ""  # empty: no model
