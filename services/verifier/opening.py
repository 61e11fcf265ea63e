"""What a caller opens a session with, checked against the tier that is to serve it."""

import asyncio
from dataclasses import dataclass

from tiercel.errors import InvalidRequest, TokenizerMismatch
from tiercel.speculation.link import Request
from tiercel.speculation.model_tier import ModelTier
from tiercel.types import Message, Plan, StopConditions
from tiercel.v1 import verifier_pb2 as pb
from tiercel.wire.draft import check_ids
from tiercel.wire.plans import plan_from_pb
from tiercel.wire.requests import (
    Prompt,
    TokenIds,
    num_top_logprobs_from_pb,
    prompt_from_pb,
    sampling_from_pb,
    stop_from_pb,
)


@dataclass(frozen=True)
class Opening:
    """A session that this tier can serve."""

    plan: Plan
    prompt_ids: tuple[int, ...]
    committed_ids: tuple[int, ...]
    stop: StopConditions
    request: Request
    num_top_logprobs: int | None

    @property
    def prefix(self) -> tuple[int, ...]:
        """The prompt and what was committed of the answer."""
        return self.prompt_ids + self.committed_ids


async def read_opening(tier: ModelTier, message: pb.GenerateOpen, deadline: float) -> Opening:
    """Return the opening; raises InvalidRequest, PlanRefused or TokenizerMismatch."""
    plan = plan_from_pb(message.plan)
    tier.check_plan(plan)
    params = sampling_from_pb(message.sampling)
    stop = stop_from_pb(message.stop, eos_ids=tier.tokenizer.eos_ids)
    num_top = num_top_logprobs_from_pb(message.num_top_logprobs)
    prompt = prompt_from_pb(message.prompt)
    prompt_ids = tuple(await asyncio.to_thread(_ids, tier, prompt))
    committed_ids = tuple(message.committed_token_ids)
    vocab_size = tier.runner.description.vocab_size
    check_ids("prompt.ids", prompt_ids, vocab_size)
    check_ids("committed_token_ids", committed_ids, vocab_size)
    tier.check_length("prompt", prompt_ids + committed_ids)
    return Opening(
        plan=plan,
        prompt_ids=prompt_ids,
        committed_ids=committed_ids,
        stop=stop,
        request=tier.request(
            request_id=message.request_id,
            deadline=deadline,
            num_prompt_tokens=len(prompt_ids),
            params=params,
            stop_token_ids=stop.token_ids,
            max_new_tokens=stop.max_new_tokens,
            messages=_messages(prompt),
        ),
        num_top_logprobs=num_top if message.logprobs else None,
    )


def _ids(tier: ModelTier, prompt: Prompt) -> list[int]:
    if isinstance(prompt, TokenIds):
        if prompt.tokenizer_fingerprint != tier.tokenizer.fingerprint:
            theirs = prompt.tokenizer_fingerprint
            own = tier.tokenizer.fingerprint
            raise TokenizerMismatch(f"{tier.name} has tokenizer {own}, the prompt {theirs!r}")
        return list(prompt.token_ids)
    if isinstance(prompt, str):
        ids = tier.tokenizer.encode(prompt, add_special=True)
    else:
        ids = tier.tokenizer.render(prompt)
    if not ids:
        raise InvalidRequest("prompt", prompt, "has no tokens")
    return ids


def _messages(prompt: Prompt) -> tuple[Message, ...]:
    return () if isinstance(prompt, str | TokenIds) else prompt
