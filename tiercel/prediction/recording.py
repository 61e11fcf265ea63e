"""Records what really happens: prompts through the running tiers, one line for each answer."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from tiercel.clients.router import Request, RouterClient
from tiercel.errors import NotFound
from tiercel.plan_text import print_plan
from tiercel.prediction.records import OutcomeLine, PairLine, PromptLine
from tiercel.replies import Decision, Finished
from tiercel.types import FinishReason, Message, PairStats, SamplingParams, StopConditions

# Answers that say how long one takes; one cut off by its deadline does not.
_WHOLE = (FinishReason.STOP_TOKEN, FinishReason.STOP_STRING, FinishReason.LENGTH)


@dataclass(frozen=True)
class Manner:
    """How prompts are asked while recording."""

    max_new_tokens: int = 128
    temperatures: tuple[float, ...] = (0.0,)
    seed: int = 0


async def record(
    router_address: str,
    prompts: Sequence[PromptLine],
    plans: Sequence[str],
    out: Path,
    *,
    manner: Manner | None = None,
    progress: Callable[[OutcomeLine], None] = lambda outcome: None,
) -> int:
    """Ask every prompt of every named plan, append each outcome to `out`; return how many.

    One request at a time. The order of plans is drawn anew for each prompt, so that a machine that
    slows down slows them all; each plan answers once before that, unrecorded. No plans: all that
    the router has. A suffix tier that remembers outputs has seen the answer when a second plan
    gives it: record with its pool_tokens at 0. Raises what the router refuses, NotFound without
    prompts or plans.
    """
    manner = manner or Manner()
    async with RouterClient(router_address) as client:
        names = list(plans) or [plan.name for plan in (await client.tiers()).plans]
        if not prompts or not names:
            raise NotFound("nothing to record: no prompts, or no plans")
        for name in names:
            await _outcome(client, prompts[0], name, manner.temperatures[0], manner)
        number = 0
        with out.open("a", encoding="utf-8") as file:
            for prompt, temperature, name in _asked(prompts, names, manner):
                outcome = await _outcome(client, prompt, name, temperature, manner)
                if outcome.reason not in _WHOLE:
                    continue
                file.write(outcome.model_dump_json() + "\n")
                file.flush()
                progress(outcome)
                number += 1
    return number


def _asked(
    prompts: Sequence[PromptLine], names: Sequence[str], manner: Manner
) -> Iterator[tuple[PromptLine, float, str]]:
    order = random.Random(manner.seed)
    for prompt, temperature in product(prompts, manner.temperatures):
        for name in order.sample(names, len(names)):
            yield prompt, temperature, name


async def _outcome(
    client: RouterClient, prompt: PromptLine, plan: str, temperature: float, manner: Manner
) -> OutcomeLine:
    request = Request(
        (Message("user", prompt.prompt),),
        SamplingParams(temperature=temperature, seed=manner.seed),
        stop=StopConditions(max_new_tokens=manner.max_new_tokens),
        plan=plan,
        kind=prompt.kind,
    )
    events = [event async for event in client.generate(request)]
    decision, finished = events[0], events[-1]
    assert isinstance(decision, Decision)
    assert isinstance(finished, Finished)
    return _line(prompt, request, decision, finished)


def _line(
    prompt: PromptLine, request: Request, decision: Decision, finished: Finished
) -> OutcomeLine:
    usage = finished.usage
    return OutcomeLine(
        prompt=prompt.prompt,
        kind=prompt.kind,
        plan_name=decision.plan_name,
        plan=print_plan(decision.plan),
        temperature=request.sampling.temperature,
        max_new_tokens=request.stop.max_new_tokens,
        seed=finished.seed,
        num_prompt_tokens=usage.num_prompt_tokens,
        num_completion_tokens=usage.num_completion_tokens,
        reason=finished.reason,
        first_token_s=usage.time_to_first_token_s,
        total_s=usage.total_s,
        pairs=tuple(_pair(pair) for pair in usage.pairs),
    )


def _pair(pair: PairStats) -> PairLine:
    return PairLine(
        drafter=pair.drafter,
        verifier=pair.verifier,
        num_accepted_tokens=pair.num_accepted_tokens,
        num_rejected_tokens=pair.num_rejected_tokens,
    )
