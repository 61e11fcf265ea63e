"""Whether an answer is worse than EXACT's: as the router's audits by likelihood tell it."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from bench.live.asking import Answer
from bench.live.mixture import Prompt
from tiercel import rpc
from tiercel.clients import tier as tier_client
from tiercel.scores import ScoreAsk
from tiercel.wire.requests import TokenIds

_TIMEOUT_S = 300.0


class Judge:
    """Asks the root for both answers' log-probabilities; equal answers are asked of nobody."""

    def __init__(self, address: str, fingerprint: str, delta: float) -> None:
        """A mean log-probability lower by more than `delta` nats per token is harm."""
        self._channel = rpc.channel(address)
        self._fingerprint, self._delta = fingerprint, delta

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._channel.close()

    async def harmed(
        self, prompts: Sequence[Prompt], exact: Sequence[Answer], lossy: Sequence[Answer]
    ) -> list[bool]:
        """Return whether each lossy answer is worse than EXACT's to the same prompt."""
        found = []
        for prompt, one, other in zip(prompts, exact, lossy, strict=True):
            is_same = one.token_ids == other.token_ids
            found.append(not is_same and await self._is_worse(prompt, one, other))
        return found

    async def _is_worse(self, prompt: Prompt, exact: Answer, lossy: Answer) -> bool:
        texts = tuple(TokenIds(one.token_ids, self._fingerprint) for one in (exact, lossy))
        asked = ScoreAsk(prompt.messages, texts)
        scores = await tier_client.score(self._channel, asked, timeout_s=_TIMEOUT_S)
        best, other = scores.continuations
        return best.mean_logprob - other.mean_logprob > self._delta
