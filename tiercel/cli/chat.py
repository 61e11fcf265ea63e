"""`tiercel chat`: a conversation, with its history."""

import sys
import uuid
from contextlib import suppress
from dataclasses import replace

import typer

from tiercel.cli import options
from tiercel.cli.answer import Answer, as_object
from tiercel.cli.generate import ProvenanceOption, StatsOption, stream, warn
from tiercel.cli.options import Asking
from tiercel.cli.output import Output
from tiercel.cli.painting import Painter
from tiercel.cli.running import run
from tiercel.cli.statistics import show_usage
from tiercel.clients.router import RouterClient
from tiercel.routing.policy import Wishes
from tiercel.sessions import Delivery
from tiercel.types import Message

HELP = "/reset forgets the conversation, /plan [PLAN] changes or shows the plan, /quit leaves"


class Chat:
    """One conversation at the router."""

    def __init__(self, router: str, timeout_s: float, asking: Asking, system: str) -> None:
        self._router = router
        self._timeout_s = timeout_s
        self._system = system
        self.asking = asking
        self.history: tuple[Message, ...] = ()
        self.reset()

    def reset(self) -> None:
        """Forget everything but the system message."""
        self.history = (Message("system", self._system),) if self._system else ()

    def turn(self, text: str, painter: Painter | None) -> Answer:
        """Have the next turn answered; one that fails leaves the history as it was."""
        history = (*self.history, Message("user", text))
        answer = run(self._ask(history, painter))
        self.history = (*history, Message("assistant", answer.text))
        return answer

    async def _ask(self, history: tuple[Message, ...], painter: Painter | None) -> Answer:
        async with RouterClient(self._router, timeout_s=self._timeout_s) as client:
            plan = await options.chosen_plan(client, self.asking.plan)
            return await stream(client, self.asking.request(history, plan), painter)


def chat(
    *,
    plan: options.PlanOption = "",
    policy: options.PolicyOption = "",
    cost_weight: options.CostWeightOption = None,
    target_quality: options.TargetQualityOption = None,
    max_seconds: options.MaxSecondsOption = None,
    max_cost: options.MaxCostOption = None,
    delivery: options.DeliveryOption = Delivery.STREAM,
    session: options.SessionOption = "",
    temperature: options.TemperatureOption = 0.0,
    top_k: options.TopKOption = 0,
    top_p: options.TopPOption = 1.0,
    seed: options.SeedOption = None,
    max_new_tokens: options.MaxNewTokensOption = 512,
    system: options.SystemOption = "",
    stats: StatsOption = False,
    provenance: ProvenanceOption = False,
    router: options.RouterOption = options.DEFAULT_ROUTER,
    timeout: options.TimeoutOption = 300.0,
    json: options.JsonOption = False,
) -> None:
    """Talk; /reset, /plan and /quit are commands."""
    asking = Asking(
        plan=options.check_plan(plan),
        policy=policy,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        max_new_tokens=max_new_tokens,
        wishes=Wishes(cost_weight, target_quality, max_seconds, max_cost),
        delivery=delivery,
        session_id=session or uuid.uuid4().hex,
    )
    output = Output()
    conversation = Chat(router, timeout, asking, system)
    painter = None if json else Painter(output, provenance=provenance)
    while (line := _read(output)) is not None:
        if line.startswith("/"):
            if not _command(conversation, output, line):
                return
        elif line:
            _turn(conversation, output, line, painter, stats=stats)


def _turn(
    conversation: Chat, output: Output, line: str, painter: Painter | None, *, stats: bool
) -> None:
    try:
        answer = conversation.turn(line, painter)
    except typer.Exit:  # said already; at a terminal the conversation goes on
        if not sys.stdin.isatty():
            raise
        return
    if painter is None:
        output.json(as_object(answer))
    elif stats:
        show_usage(output, answer)
    warn(output, answer)


def _command(conversation: Chat, output: Output, line: str) -> bool:
    """Do a command; return whether the conversation goes on."""
    word, _, rest = line.partition(" ")
    if word == "/reset":
        conversation.reset()
    elif word == "/plan":
        _change_plan(conversation, output, rest.strip())
    elif word != "/quit":
        output.note(HELP)
    return word != "/quit"


def _change_plan(conversation: Chat, output: Output, text: str) -> None:
    if text:
        try:
            conversation.asking = replace(conversation.asking, plan=options.check_plan(text))
        except typer.BadParameter as error:
            output.note(str(error), "red")
            return
    output.note(f"plan: {conversation.asking.plan or 'as the router decides'}")


def _read(output: Output) -> str | None:
    """Return the next line, or None at the end."""
    if sys.stdin.isatty():
        with suppress(ImportError):  # line editing, by the import alone; not on every system
            import readline  # noqa: F401
    try:
        return input("> " if sys.stdin.isatty() and output.is_terminal else "").strip()
    except (EOFError, KeyboardInterrupt):
        return None
