"""`tiercel generate`: one prompt, one answer, streamed."""

from typing import Annotated

import typer

from tiercel.cli import options
from tiercel.cli.answer import Answer, as_object
from tiercel.cli.constraints import GrammarOption, RegexOption, SchemaOption, read_constraint
from tiercel.cli.options import Asking
from tiercel.cli.output import Output
from tiercel.cli.painting import Painter
from tiercel.cli.running import run
from tiercel.cli.statistics import number, show_usage
from tiercel.clients.router import Request, RouterClient
from tiercel.replies import Finished, Revise
from tiercel.routing.policy import Wishes
from tiercel.rules import RuleUse, is_lossy
from tiercel.sessions import Delivery
from tiercel.types import FinishReason
from tiercel.wire.requests import Prompt

StatsOption = Annotated[bool, typer.Option("--stats", help="Show what each pair and tier did.")]
ProvenanceOption = Annotated[
    bool, typer.Option("--provenance", help="Show which tier drafted each token.")
]
LogprobsOption = Annotated[bool, typer.Option("--logprobs", help="Show log-probabilities.")]


def generate(
    prompt: options.PromptArgument,
    *,
    plan: options.PlanOption = "",
    policy: options.PolicyOption = "",
    rule: options.RuleOption = "",
    strictness: options.StrictnessOption = "",
    cost_weight: options.CostWeightOption = None,
    target_quality: options.TargetQualityOption = None,
    max_seconds: options.MaxSecondsOption = None,
    max_cost: options.MaxCostOption = None,
    delivery: options.DeliveryOption = Delivery.STREAM,
    session: options.SessionOption = "",
    kind: options.KindOption = "",
    temperature: options.TemperatureOption = 0.0,
    top_k: options.TopKOption = 0,
    top_p: options.TopPOption = 1.0,
    seed: options.SeedOption = None,
    max_new_tokens: options.MaxNewTokensOption = 256,
    stop: options.StopOption = None,
    system: options.SystemOption = "",
    raw: options.RawOption = False,
    stats: StatsOption = False,
    provenance: ProvenanceOption = False,
    logprobs: LogprobsOption = False,
    json_schema: SchemaOption = None,
    regex: RegexOption = None,
    grammar: GrammarOption = None,
    router: options.RouterOption = options.DEFAULT_ROUTER,
    timeout: options.TimeoutOption = 300.0,
    json: options.JsonOption = False,
) -> None:
    """Answer a prompt; the text streams as it is committed."""
    asking = Asking(
        plan=options.check_plan(plan),
        policy=policy,
        kind=kind,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        max_new_tokens=max_new_tokens,
        stop=tuple(stop or ()),
        logprobs=logprobs,
        acceptance=options.check_rule(rule, strictness),
        constraint=read_constraint(json_schema, regex, grammar),
        wishes=Wishes(cost_weight, target_quality, max_seconds, max_cost),
        delivery=delivery,
        session_id=session,
    )
    words = options.read_prompt(prompt, system=system, raw=raw)
    output = Output()
    painter = None if json else Painter(output, provenance=provenance)
    answer = run(_ask(router, timeout, asking, words, painter))
    if json:
        output.json(as_object(answer))
        return
    if logprobs:
        _show_logprobs(output, answer)
    if stats:
        show_usage(output, answer)
    warn(output, answer)
    if asking.constraint is not None and not is_whole(answer):
        output.note("the answer ended before it could match its constraint", "yellow")


async def stream(client: RouterClient, request: Request, painter: Painter | None) -> Answer:
    """Have a request answered; the painter, if any, shows the answer meanwhile."""
    answer = Answer()
    waits = request.delivery is Delivery.REVISE and painter is not None and not painter.is_live
    async for event in client.generate(request):
        parts = answer.add(event)
        if painter is None:
            continue
        if answer.decision is event:
            painter.follow(answer.decision.plan)
        if isinstance(event, Revise) and not waits:
            painter.take_back(answer.pieces)
        painter.show([] if waits else parts)
    if painter is not None:
        painter.show(answer.pieces if waits else [])
        painter.finish(answer.pieces)
    return answer


def warn(output: Output, answer: Answer) -> None:
    """Say on standard error whatever makes the answer other than asked for."""
    finished = answer.finished
    if finished is None:
        output.note("the answer has no end")
        return
    for condition, text in _warnings(finished):
        if condition:
            output.note(text, "yellow")


def is_whole(answer: Answer) -> bool:
    """Return whether the model itself ended the answer."""
    finished = answer.finished
    return finished is not None and finished.reason is FinishReason.STOP_TOKEN


def _warnings(finished: Finished) -> list[tuple[bool, str]]:
    rules = ", ".join(rule.value for rule in finished.lossy_rules)
    return [
        (finished.reason is FinishReason.DEADLINE, "the time was over before the answer"),
        (not finished.exact, "not exact: a replica with other numerics finished the answer"),
        (bool(rules), f"lossy rules were in use: {rules}"),
        (finished.rule_use is not None, rule_text(finished.rule_use)),
    ]


def rule_text(use: RuleUse | None) -> str:
    """Return what the root's rule did, in words."""
    if use is None:
        return ""
    text = f"rule {use.rule.value}"
    if is_lossy(use.rule):
        text += f" at strictness {use.strictness:g}"
    if use.divergence is not None:
        text += (
            f": {use.num_divergent_tokens} of {use.num_compared_tokens} tokens"
            f" ({use.divergence:.1%}) are other than exact gives,"
            f" {use.logprob_gap / max(1, use.num_divergent_tokens):.2f} nats below on average"
        )
    if use.num_unjudged_tokens:
        text += f"; {use.num_unjudged_tokens} stand unjudged"
    return text


async def _ask(
    router: str, timeout_s: float, asking: Asking, prompt: Prompt, painter: Painter | None
) -> Answer:
    async with RouterClient(router, timeout_s=timeout_s) as client:
        plan = await options.chosen_plan(client, asking.plan)
        return await stream(client, asking.request(prompt, plan), painter)


def _show_logprobs(output: Output, answer: Answer) -> None:
    tokens = [piece for piece in answer.pieces if piece.num_tokens]
    rows = [
        (repr(piece.text), str(entry.token_id), number(entry.logprob, 4), piece.tier)
        for piece, entry in zip(tokens, answer.logprobs, strict=False)
    ]
    output.table("log-probabilities", ("text", ">token", ">logprob", "tier"), rows)
