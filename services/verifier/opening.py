"""What a caller opens a session with, checked against the tier that is to serve it."""

import asyncio
from dataclasses import dataclass, replace

from tiercel.constraints import check_rule
from tiercel.errors import InvalidRequest
from tiercel.sessions import Ask, DraftPrefix
from tiercel.speculation.model_tier import ModelTier
from tiercel.speculation.prompt_ids import ids_of_prompt
from tiercel.speculation.request import Request
from tiercel.types import Message, Plan, StopConditions
from tiercel.wire.draft import check_ids
from tiercel.wire.requests import Prompt, TokenIds


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


async def admitted(
    tier: ModelTier, ask: Ask, plan: Plan, committed_ids: tuple[int, ...], deadline: float
) -> Opening:
    """Return the session; raises InvalidRequest, PlanRefused or TokenizerMismatch."""
    tier.check_plan(plan)
    prompt_ids = tuple(
        await asyncio.to_thread(ids_of_prompt, tier.name, tier.tokenizer, ask.prompt)
    )
    vocab_size = tier.runner.description.vocab_size
    check_ids("prompt.ids", prompt_ids, vocab_size)
    check_ids("committed_token_ids", committed_ids, vocab_size)
    check_ids("stop.token_ids", tuple(ask.stop.token_ids), vocab_size)
    tier.check_length("prompt", prompt_ids)
    # Committed tokens may fill the context: there the answer ended, and only that is left to say.
    tier.check_length("committed_token_ids", (prompt_ids + committed_ids)[:-1])
    if ask.constraint is not None and ask.ignore_eos:
        why = "an answer with a constraint ends where its grammar does"
        raise InvalidRequest("stop.ignore_eos", True, why)
    check_rule(plan.acceptance, ask.constraint)
    await tier.grammars.check(ask.constraint, committed_ids)
    request = tier.request(
        request_id=ask.request_id,
        deadline=deadline,
        num_prompt_tokens=len(prompt_ids),
        params=ask.sampling,
        stop_token_ids=ask.stop.token_ids,
        max_new_tokens=ask.stop.max_new_tokens,
        messages=_messages(ask.prompt),
        constraint=ask.constraint,
    )
    draft_prefix = await asyncio.to_thread(_in_own_words, tier, ask)
    return Opening(
        plan=plan,
        prompt_ids=prompt_ids,
        committed_ids=committed_ids,
        stop=ask.stop,
        request=replace(request, measures=ask.evidence, draft_prefix=draft_prefix, kind=ask.kind),
        num_top_logprobs=ask.num_top_logprobs if ask.logprobs else None,
    )


def _in_own_words(tier: ModelTier, ask: Ask) -> DraftPrefix | None:
    """Return what another tier said, in this tier's vocabulary; its text counts if its ids do not.

    What is too long for the answer is left out. Raises InvalidRequest for an id out of range.
    """
    prefix, own = ask.draft_prefix, tier.tokenizer.fingerprint
    if prefix is None:
        return None
    if prefix.ids.tokenizer_fingerprint == own:
        token_ids = prefix.ids.token_ids
        check_ids("draft_prefix.ids", token_ids, tier.runner.description.vocab_size)
    else:
        token_ids = tuple(tier.tokenizer.encode(prefix.text))
    return replace(prefix, ids=TokenIds(token_ids[: ask.stop.max_new_tokens], own))


def _messages(prompt: Prompt) -> tuple[Message, ...]:
    return () if isinstance(prompt, str | TokenIds) else prompt
