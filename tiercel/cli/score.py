"""`tiercel score`: what a tier makes of texts that are given."""

import math
from typing import Annotated

import typer

from tiercel import rpc
from tiercel.cli import options
from tiercel.cli.output import Output
from tiercel.cli.running import run
from tiercel.cli.statistics import number
from tiercel.clients import tier as client
from tiercel.clients.router import RouterClient
from tiercel.errors import NotFound, Unavailable
from tiercel.replies import ReplicaState
from tiercel.scores import ScoreAsk, ScoredContinuation, Scores
from tiercel.types import SamplingParams

ContinuationsArgument = Annotated[list[str], typer.Argument(help="Texts that follow the prompt.")]
TierOption = Annotated[str, typer.Option(help="The tier, one that the router knows.")]
AddressOption = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="A replica; then the router is not asked.")
]
TopOption = Annotated[
    int, typer.Option(min=0, max=20, help="Show so many of the likeliest tokens in each place.")
]
SeedOption = Annotated[int, typer.Option(min=0, max=2**64 - 1, help="Seed of the choices.")]

COLUMNS = (">place", ">token", ">logprob", ">chosen", ">probability", ">entropy", ">margin")


def score(
    prompt: options.PromptArgument,
    continuations: ContinuationsArgument,
    *,
    tier: TierOption = "target",
    address: AddressOption = "",
    top: TopOption = 0,
    temperature: options.TemperatureOption = 0.0,
    top_k: options.TopKOption = 0,
    top_p: options.TopPOption = 1.0,
    seed: SeedOption = 0,
    system: options.SystemOption = "",
    raw: options.RawOption = False,
    router: options.RouterOption = options.DEFAULT_ROUTER,
    timeout: options.TimeoutOption = 60.0,
    json: options.JsonOption = False,
) -> None:
    """Show how likely a tier holds texts, and what it would have said in each place."""
    ask = ScoreAsk(
        prompt=options.read_prompt(prompt, system=system, raw=raw),
        continuations=tuple(continuations),
        sampling=SamplingParams(temperature, top_k, top_p, seed),
        num_top_logprobs=top,
    )
    scores = run(_score(ask, tier, address, router, timeout))
    output = Output()
    if json:
        output.json(scores)
        return
    for text, scored in zip(continuations, scores.continuations, strict=True):
        _show(output, text, scored)


async def _score(ask: ScoreAsk, tier: str, address: str, router: str, timeout_s: float) -> Scores:
    if not address:
        address = await _address_of(tier, router, timeout_s)
    channel = rpc.channel(address)
    try:
        return await client.score(channel, ask, timeout_s=timeout_s)
    finally:
        await channel.close()


async def _address_of(tier: str, router: str, timeout_s: float) -> str:
    async with RouterClient(router, timeout_s=timeout_s) as asking:
        replicas = (await asking.tiers()).replicas
    found = [replica for replica in replicas if replica.tier == tier]
    if not found:
        names = ", ".join(sorted({replica.tier for replica in replicas}))
        raise NotFound(f"no tier {tier!r}; the tiers are {names}")
    ready = [replica.address for replica in found if replica.state is ReplicaState.READY]
    if not ready:
        raise Unavailable(f"no replica of {tier} takes work: it {found[0].problem}")
    return ready[0]


def _show(output: Output, text: str, scored: ScoredContinuation) -> None:
    rows = [_row(scored, place) for place in range(len(scored.token_ids))]
    has_top = any(entry.top for entry in scored.logprobs)
    output.table(repr(text), (*COLUMNS, *(("likeliest",) if has_top else ())), rows)
    agreeing = sum(
        choice.token_id == token_id
        for choice, token_id in zip(scored.choices, scored.token_ids, strict=True)
    )
    told = f"{agreeing} of {len(scored.token_ids)} tokens are its own choice"
    if scored.logprobs:
        total = math.fsum(entry.logprob for entry in scored.logprobs)
        perplexity = math.exp(-total / len(scored.logprobs))
        told += f"; log-probability {total:.4f}, perplexity {perplexity:.3f}"
    output.line(told)


def _row(scored: ScoredContinuation, place: int) -> tuple[str, ...]:
    """Return what stands under COLUMNS; a dash where the tier has nothing to say."""
    choice, has_logits = scored.choices[place], bool(scored.logprobs)
    entry = scored.logprobs[place] if has_logits else None
    top = entry.top if entry else ()
    likeliest = ", ".join(f"{token_id} ({logprob:.3f})" for token_id, logprob in top)
    return (
        str(place),
        str(scored.token_ids[place]),
        number(entry.logprob if entry else None, 4),
        "-" if choice.token_id is None else str(choice.token_id),
        number(choice.prob, 4),
        number(scored.entropies[place] if has_logits else None, 4),
        number(scored.margins[place] if has_logits else None, 4),
        *([likeliest] if top else []),
    )
