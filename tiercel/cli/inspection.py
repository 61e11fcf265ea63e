"""`tiercel route` and `tiercel tiers`: what the router would do, and what it sees."""

from tiercel.cli import options
from tiercel.cli.answer import decision_object
from tiercel.cli.options import Asking
from tiercel.cli.output import Output
from tiercel.cli.running import run
from tiercel.cli.statistics import number, plan_text
from tiercel.clients.router import RouterClient
from tiercel.descriptions import Residency, TierDescription
from tiercel.replies import Candidate, Decision, Overview, Replica
from tiercel.routing.policy import Wishes
from tiercel.wire.requests import Prompt

REPLICA_COLUMNS = (
    "tier", "address", "state", "model", "engine", "dtype", "numerics",
    "bit exact", "memory", ">sessions", ">waiting", ">outstanding", ">up s", "problem",
)  # fmt: skip

CANDIDATE_COLUMNS = (
    "plan", ">predicted s", ">cost", ">quality", ">at least", ">probability", "",
)  # fmt: skip


def route(
    prompt: options.PromptArgument,
    *,
    plan: options.PlanOption = "",
    policy: options.PolicyOption = "",
    cost_weight: options.CostWeightOption = None,
    target_quality: options.TargetQualityOption = None,
    max_seconds: options.MaxSecondsOption = None,
    max_cost: options.MaxCostOption = None,
    session: options.SessionOption = "",
    kind: options.KindOption = "",
    temperature: options.TemperatureOption = 0.0,
    max_new_tokens: options.MaxNewTokensOption = 256,
    system: options.SystemOption = "",
    raw: options.RawOption = False,
    router: options.RouterOption = options.DEFAULT_ROUTER,
    timeout: options.TimeoutOption = 10.0,
    json: options.JsonOption = False,
) -> None:
    """Show which plan the router would choose for a prompt, and why."""
    asking = Asking(
        plan=options.check_plan(plan),
        policy=policy,
        kind=kind,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        wishes=Wishes(cost_weight, target_quality, max_seconds, max_cost),
        session_id=session,
    )
    words = options.read_prompt(prompt, system=system, raw=raw)
    decision = run(_route(router, timeout, asking, words))
    output = Output()
    if json:
        output.json(decision_object(decision))
    else:
        _show_decision(output, decision)


def tiers(
    *,
    router: options.RouterOption = options.DEFAULT_ROUTER,
    timeout: options.TimeoutOption = 10.0,
    json: options.JsonOption = False,
) -> None:
    """Show the state of every replica, and the plans."""
    overview = run(_overview(router, timeout))
    output = Output()
    if json:
        output.json(overview)
    else:
        _show_overview(output, overview)


async def _route(router: str, timeout_s: float, asking: Asking, prompt: Prompt) -> Decision:
    async with RouterClient(router, timeout_s=timeout_s) as client:
        plan = await options.chosen_plan(client, asking.plan)
        return await client.route(asking.request(prompt, plan))


async def _overview(router: str, timeout_s: float) -> Overview:
    async with RouterClient(router, timeout_s=timeout_s) as client:
        return await client.tiers()


def _show_decision(output: Output, decision: Decision) -> None:
    named = f" ({decision.plan_name})" if decision.plan_name else ""
    output.line(f"plan        {plan_text(decision.plan)}{named}", "bold")
    output.line(f"policy      {decision.policy}, propensity {decision.propensity:g}")
    output.line(f"reason      {decision.reason}")
    if decision.forced:
        output.line(f"forced      {decision.forced}")
    if decision.insufficient_evidence:
        output.line("evidence    too little to promise the quality that was asked for")
    output.line(f"decided in  {decision.compute_s * 1000:.2f} ms")
    rows = [_candidate_row(one, decision) for one in decision.candidates]
    if rows:
        output.table("candidates", CANDIDATE_COLUMNS, rows)


def _candidate_row(one: Candidate, decision: Decision) -> tuple[str, ...]:
    return (
        one.plan_name,
        number(one.predicted_s, 2),
        number(one.predicted_cost, 3),
        number(one.predicted_quality, 3),
        number(one.quality_bound, 3),
        number(one.probability, 3),
        one.refused or ("chosen" if one.plan_name == decision.plan_name else ""),
    )


def _show_overview(output: Output, overview: Overview) -> None:
    output.table("tiers", REPLICA_COLUMNS, [_replica_row(one) for one in overview.replicas])
    rows = [
        (plan.name, plan_text(plan.plan), "default" if plan.is_default else "")
        for plan in overview.plans
    ]
    output.table("plans", ("name", "plan", ""), rows)


def _replica_row(replica: Replica) -> tuple[str, ...]:
    about = replica.description
    described = ("",) * 8 if about is None else (
        about.model,
        about.engine,
        about.dtype,
        about.numerics_id[:8],
        _exactness(about),
        _memory(about),
        f"{about.num_sessions}/{about.max_sessions}",
        str(about.num_waiting_passes),
    )  # fmt: skip
    uptime = "" if about is None else f"{about.uptime_s:.0f}"
    outstanding = str(replica.num_outstanding)
    state = replica.state.value
    return (
        replica.tier, replica.address, state, *described, outstanding, uptime, replica.problem
    )  # fmt: skip


def _memory(about: TierDescription) -> str:
    """Return whether the model is there, and what it takes, as far as that is known."""
    if about.residency is Residency.UNSPECIFIED:
        return ""
    size = f" {about.memory_bytes / 1e9:.2f} GB" if about.memory_bytes else ""
    return f"{about.residency.value}{size}"


def _exactness(about: TierDescription) -> str:
    if not about.numerics_id:  # no model, no numerics
        return ""
    return "yes" if about.bit_exact else "no"
