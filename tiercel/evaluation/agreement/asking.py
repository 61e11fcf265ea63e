"""Asks running tiers: the target for answers, and all of them what they would have said there."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc

from tiercel import rpc
from tiercel.clients.tier import score, tokenizer_files
from tiercel.clients.verifier import open_session
from tiercel.errors import InvalidRequest, TiercelError, Unsupported
from tiercel.evaluation.agreement.readings import Reading, Sample, bridged, reading
from tiercel.evaluation.agreement.voices import Voice
from tiercel.replies import Committed
from tiercel.scores import ScoreAsk, ScoredContinuation
from tiercel.sessions import Ask
from tiercel.speculation.prompt_ids import ids_of_prompt
from tiercel.tokenizer import Tokenizer
from tiercel.types import Plan, SamplingParams, StopConditions
from tiercel.wire.requests import Prompt, TokenIds

_HEARTBEAT_S = 2.0
NUM_TOP = 20
"""Tokens of each distribution that are compared."""


@dataclass(frozen=True)
class Manner:
    """How all tiers choose, and how long they may take."""

    sampling: SamplingParams
    max_new_tokens: int
    timeout_s: float


class Panel:
    """A target and the tiers that are compared with it."""

    def __init__(
        self,
        target: Voice,
        channels: dict[str, grpc.aio.Channel],
        tokenizers: dict[str, Tokenizer],
        manner: Manner,
    ) -> None:
        """`channels` and `tokenizers` are by tier; one without its own has the target's."""
        self.target = target
        self.tokenizer = tokenizers[target.name]
        self._channels, self._tokenizers, self._manner = channels, tokenizers, manner

    async def answer(self, prompt: Prompt, kind: str) -> Sample:
        """Return what the target alone answers; raises the domain error of a failed call."""
        ask = Ask(
            request_id="agreement",
            prompt=prompt,
            sampling=self._manner.sampling,
            stop=StopConditions(self._manner.max_new_tokens),
        )
        plan, token_ids = Plan(self.target.name, self.target.address), list[int]()
        opening = open_session(
            self._channels[self.target.name],
            ask,
            plan,
            timeout_s=self._manner.timeout_s,
            heartbeat_s=_HEARTBEAT_S,
        )
        async with opening as session:
            async for event in session.events():
                if isinstance(event, Committed):
                    token_ids += event.token_ids
        return Sample(prompt, kind, tuple(token_ids))

    async def read(self, voice: Voice, sample: Sample) -> Reading:
        """Return what a tier would have said; raises the domain error of a failed call."""
        own = self._tokenizers.get(voice.name)
        if own is not None and own.fingerprint != self.tokenizer.fingerprint:
            text = self.tokenizer.decode(sample.token_ids, skip_special=True)
            scored = await self._scored(voice, sample.prompt, text)
            return bridged(scored, own, sample.token_ids, self.tokenizer)
        fingerprint = self.tokenizer.fingerprint
        prompt_ids = ids_of_prompt(self.target.name, self.tokenizer, sample.prompt)
        prompt = TokenIds(tuple(prompt_ids), fingerprint)
        scored = await self._scored(voice, prompt, TokenIds(sample.token_ids, fingerprint))
        return reading(scored, self.tokenizer)

    async def _scored(
        self, voice: Voice, prompt: Prompt, continuation: str | TokenIds
    ) -> ScoredContinuation:
        num_top = NUM_TOP if voice.has_tokenizer else 0
        ask = ScoreAsk(prompt, (continuation,), self._manner.sampling, num_top)
        channel = self._channels[voice.name]
        scores = await score(channel, ask, timeout_s=self._manner.timeout_s)
        return scores.continuations[0]


@asynccontextmanager
async def panel(target: Voice, others: Sequence[Voice], manner: Manner) -> AsyncIterator[Panel]:
    """Connect to the tiers and fetch their tokenizers; raises the domain error of a failed call."""
    channels = {voice.name: rpc.channel(voice.address) for voice in (target, *others)}
    try:
        tokenizers = {}
        for voice in (target, *others):
            if voice.has_tokenizer:
                channel = channels[voice.name]
                files = await tokenizer_files(channel, timeout_s=manner.timeout_s)
                tokenizers[voice.name] = await asyncio.to_thread(Tokenizer.from_files, files)
        if target.name not in tokenizers:
            raise InvalidRequest("target", target.name, "has no tokenizer: it only drafts")
        yield Panel(target, channels, tokenizers, manner)
    finally:
        for channel in channels.values():
            await channel.close()


async def read_all(
    asked: Panel,
    others: Sequence[Voice],
    samples: Sequence[Sample],
    *,
    advance: Callable[[], None],
    left_out: Callable[[str, TiercelError], None],
) -> dict[str, list[Reading]]:
    """Return what each tier says of each sample, the target first.

    A tier that cannot score is left out, and told of.
    """
    found: dict[str, list[Reading]] = {}
    for voice in (asked.target, *others):
        readings = []
        try:
            for sample in samples:
                readings.append(await asked.read(voice, sample))
                advance()
        except Unsupported as error:
            left_out(voice.name, error)
            continue
        found[voice.name] = readings
    return found
