"""`tiercel demo`: the built-in chain starts, answers, shows its parts, and ends without a trace."""

from dataclasses import dataclass

from tiercel.cli import options
from tiercel.cli.answer import Answer
from tiercel.cli.deployment import Deployment
from tiercel.cli.generate import stream
from tiercel.cli.options import Asking
from tiercel.cli.output import Output
from tiercel.cli.painting import Painter
from tiercel.cli.private_fleet import private_deployment, running
from tiercel.cli.running import run, tell_failures
from tiercel.cli.statistics import plan_text, show_usage
from tiercel.clients.router import RouterClient
from tiercel.errors import TiercelError

_COLUMNS = ("plan", ">tokens", ">tokens/s", ">model passes", "chain", "text")


@dataclass(frozen=True)
class Scene:
    """One prompt of the demo."""

    title: str
    prompt: str
    asking: Asking


SCENES = (
    Scene(
        "A question, greedy",
        "Why is the sky blue? Answer in three sentences.",
        Asking(max_new_tokens=72),
    ),
    Scene(
        "A story, sampled at temperature 0.8 with seed 7",
        "Write a very short story about a falcon who learns to share.",
        Asking(max_new_tokens=72, temperature=0.8, seed=7),
    ),
    Scene(
        "A text with repeated lines, greedy: the suffix index sees what comes again",
        "Write a poem in which every line begins with 'The falcon flies over the'.",
        Asking(max_new_tokens=72),
    ),
)


def demo() -> None:
    """Watch the built-in three-level chain answer, on ports of its own, and stop."""
    output = Output()
    with tell_failures(), private_deployment(None, output) as deployment:
        run(_demo(deployment, output))


async def _demo(deployment: Deployment, output: Output) -> None:
    async with running(deployment, output) as supervisor:
        await supervisor.attend(_show(deployment, output))
        output.line("\nstopping")
    output.line("stopped, no process is left behind")


async def _show(deployment: Deployment, output: Output) -> None:
    async with RouterClient(deployment.router) as client:
        for number, scene in enumerate(SCENES, start=1):
            output.line(f"\n{number}. {scene.title}", "bold")
            output.line(scene.prompt, "italic")
            output.line()
            painter = Painter(output, provenance=True)
            answer = await _ask(client, scene, deployment.configuration.default_plan, painter)
            show_usage(output, answer)
        output.line(f"\n{len(SCENES) + 1}. The second prompt again, under every plan", "bold")
        await _compare(deployment, output, client)


async def _compare(deployment: Deployment, output: Output, client: RouterClient) -> None:
    plans = deployment.configuration.plans
    root = plans[deployment.configuration.default_plan].tier
    answers = {
        name: await _ask(client, SCENES[1], name, None)
        for name, plan in plans.items()
        if plan.tier == root
    }
    texts = {answer.text for answer in answers.values()}
    reference = next(iter(answers.values())).text
    rows = [_row(name, answer, reference) for name, answer in answers.items()]
    output.table(f"every chain under {root}", _COLUMNS, rows)
    output.line()
    if len(texts) > 1:
        raise TiercelError(f"the plans gave {len(texts)} different texts")
    output.line(
        f"all {len(answers)} plans gave the same text, character for character", "bold green"
    )


async def _ask(client: RouterClient, scene: Scene, plan: str, painter: Painter | None) -> Answer:
    request = scene.asking.request(options.conversation(scene.prompt), plan)
    return await stream(client, request, painter)


def _row(name: str, answer: Answer, reference: str) -> tuple[str, ...]:
    assert answer.finished is not None and answer.decision is not None
    usage = answer.finished.usage
    root = next(tier for tier in usage.tiers if tier.tier == answer.decision.plan.tier)
    return (
        name,
        str(usage.num_completion_tokens),
        f"{usage.num_completion_tokens / usage.total_s:.1f}",
        str(root.num_forward_passes),
        plan_text(answer.decision.plan),
        "the same" if answer.text == reference else "ANOTHER",
    )
