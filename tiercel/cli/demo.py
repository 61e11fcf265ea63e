"""`tiercel demo`: the built-in chain starts, answers, shows its parts, and ends without a trace."""

import os
import tempfile
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tiercel.cli import options
from tiercel.cli.answer import Answer
from tiercel.cli.deployment import Deployment, on_free_ports
from tiercel.cli.generate import stream
from tiercel.cli.models_on_disk import prepare
from tiercel.cli.options import Asking
from tiercel.cli.output import Output
from tiercel.cli.painting import Painter
from tiercel.cli.running import run, tell_failures
from tiercel.cli.statistics import show_usage
from tiercel.cli.supervisor import Supervisor, SupervisorError
from tiercel.cli.supervisor.readiness import takes_calls
from tiercel.clients.router import RouterClient
from tiercel.plan_text import print_plan

_READY_S = 600.0
_LOG_LINES = 20
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
        "A text to repeat, greedy: the suffix index finds it in the prompt",
        "Repeat this text word for word: The small falcon flies ahead and drafts the way. "
        "The large falcon follows, and verifies every turn of the way that the small one drafts.",
        Asking(max_new_tokens=72),
    ),
)


def demo() -> None:
    """Watch the built-in three-level chain answer, on ports of its own, and stop."""
    output = Output()
    with tell_failures(), tempfile.TemporaryDirectory(prefix="tiercel-demo-") as folder:
        config = on_free_ports(None, Path(folder))
        # Without the pool of earlier answers: one plan's answer would be the next one's draft.
        deployment = Deployment(
            config,
            common={"log_level": "warning", "pool_tokens": 0},
            feedback={"data_dir": str(Path(folder) / "feedback")},
        )
        prepare(deployment.configuration, output)
        run(_demo(deployment, output))


async def _demo(deployment: Deployment, output: Output) -> None:
    logs: deque[str] = deque(maxlen=_LOG_LINES)
    supervisor = Supervisor(
        deployment.specs(),
        is_ready=takes_calls,
        on_line=lambda name, line: logs.append(f"{name}: {line}"),
    )
    groups: set[int] = set()
    try:
        async with supervisor:
            with output.working(f"starting {', '.join(supervisor.children)}"):
                await supervisor.wait_ready(_READY_S)
            groups = {child.pid for child in supervisor.children.values() if child.pid}
            await supervisor.attend(_show(deployment, output))
            output.line("\nstopping")
    except SupervisorError:
        for line in logs:
            output.note(line)
        raise
    output.line(_left_behind(groups))


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
        raise SupervisorError(f"the plans gave {len(texts)} different texts")
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
        print_plan(answer.decision.plan),
        "the same" if answer.text == reference else "ANOTHER",
    )


def _left_behind(groups: Iterable[int]) -> str:
    left = [group for group in groups if _exists(group)]
    if left:
        raise SupervisorError(f"process groups that did not end: {left}")
    return "stopped, no process is left behind"


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
