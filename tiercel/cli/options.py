"""Options that several commands share, and the requests that they make."""

import re
import sys
from dataclasses import dataclass, field
from typing import Annotated

import typer

from tiercel.clients.router import Request, RouterClient
from tiercel.errors import InvalidRequest, NotFound
from tiercel.plan_text import Outline, parse_plan, with_strictness
from tiercel.routing.policy import Wishes
from tiercel.rules import check_acceptance, is_lossy
from tiercel.sessions import Delivery
from tiercel.types import Acceptance, Constraint, Message, Rule, SamplingParams, StopConditions
from tiercel.wire.requests import Prompt

DEFAULT_ROUTER = "localhost:50050"
_LARGEST = 2**32 - 1  # that a request has room for
_NO_TEXT = re.compile("[\ud800-\udfff]")  # what Python reads bytes as that are no UTF-8

RouterOption = Annotated[
    str,
    typer.Option("--router", envvar="TIERCEL_ROUTER", metavar="HOST:PORT", help="The router."),
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=0.001, help="Seconds that a request gets.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON.")]
PromptArgument = Annotated[str, typer.Argument(help="The prompt; - reads it from standard input.")]
PlanOption = Annotated[
    str,
    typer.Option(help="A plan's name, or a plan such as 'target <- draft:4 <- suffix:8'."),
]
PolicyOption = Annotated[str, typer.Option(help="Let this policy of the router choose the plan.")]
CostWeightOption = Annotated[
    float | None, typer.Option(help="Quality that a second is worth: the most quality less that.")
]
TargetQualityOption = Annotated[
    float | None,
    typer.Option(help="The cheapest plan that is shown to succeed with this probability."),
]
MaxSecondsOption = Annotated[
    float | None, typer.Option(help="Seconds that the answer may be predicted to take.")
]
MaxCostOption = Annotated[
    float | None, typer.Option(help="What the answer may be predicted to cost, in tiers' prices.")
]
DeliveryOption = Annotated[
    Delivery,
    typer.Option(
        help="When text is sent that a larger tier may overrule: stream (it then may not), hold,"
        " revise."
    ),
]
SessionOption = Annotated[
    str, typer.Option(help="Your own name of the conversation, the same for all its turns.")
]
RuleOption = Annotated[
    str,
    typer.Option(
        "--rule",
        metavar="RULE",
        help="When a draft token may stand: exact, rejection, block, or a lossy rule, such as"
        " lenient; the plan's own if not given.",
    ),
]
StrictnessOption = Annotated[
    str,
    typer.Option(
        "--strictness",
        metavar="NUMBER|learned",
        help="Of a lossy rule: from 0 to 1, which is what exact does; learned is what audits have"
        " certified, and learned>=0.6 nothing below that.",
    ),
]
KindOption = Annotated[str, typer.Option(help="Your own word for the kind of request.")]
TemperatureOption = Annotated[float, typer.Option(min=0.0, help="0 takes the best token always.")]
TopKOption = Annotated[
    int, typer.Option(min=0, max=_LARGEST, help="Keep the k best tokens; 0 keeps all.")
]
TopPOption = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Keep the best tokens with this mass.")
]
SeedOption = Annotated[
    int | None,
    typer.Option(min=0, max=2**64 - 1, help="Seed of the sampling; drawn if not given."),
]
MaxNewTokensOption = Annotated[
    int, typer.Option(min=1, max=_LARGEST, help="Length limit of the answer.")
]
StopOption = Annotated[
    list[str] | None, typer.Option(help="End before this text; may be given several times.")
]
SystemOption = Annotated[str, typer.Option(help="A system message.")]
RawOption = Annotated[bool, typer.Option("--raw", help="Use no chat template.")]


@dataclass(frozen=True)
class Asking:
    """How to ask, apart from the prompt: what the options of a command say."""

    plan: str = ""
    policy: str = ""
    kind: str = ""
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    acceptance: Acceptance | None = None
    constraint: Constraint | None = None
    wishes: Wishes = field(default_factory=Wishes)
    delivery: Delivery = Delivery.STREAM
    session_id: str = ""

    def request(self, prompt: Prompt, plan: Outline | str | None) -> Request:
        """Return the request for `prompt` under a plan that `chosen_plan` has returned."""
        return Request(
            prompt=prompt,
            sampling=SamplingParams(self.temperature, self.top_k, self.top_p, self.seed or 0),
            seeded=self.seed is not None,
            stop=StopConditions(max_new_tokens=self.max_new_tokens, strings=self.stop),
            plan=plan,
            policy=self.policy,
            kind=self.kind,
            logprobs=self.logprobs,
            acceptance=self.acceptance,
            constraint=self.constraint,
            wishes=self.wishes,
            delivery=self.delivery,
            session_id=self.session_id,
        )


def read_prompt(argument: str, *, system: str = "", raw: bool = False) -> Prompt:
    """Return the prompt that the argument, or standard input, holds."""
    text = sys.stdin.read() if argument == "-" else argument
    if not text.strip():
        raise typer.BadParameter("the prompt is empty")
    if _NO_TEXT.search(text):
        raise typer.BadParameter("the prompt is not UTF-8")
    if raw and system:
        raise typer.BadParameter("--raw has no place for --system")
    return text if raw else conversation(text, system=system)


def conversation(text: str, *, system: str = "") -> tuple[Message, ...]:
    """Return the text as a user's turn, after a system message if there is one."""
    first = (Message("system", system),) if system else ()
    return (*first, Message("user", text))


def check_rule(rule: str, strictness: str) -> Acceptance | None:
    """Return what --rule and --strictness say, None for neither; what cannot be is bad usage."""
    if not rule and not strictness:
        return None
    if not rule:
        raise typer.BadParameter("--strictness is that of a rule: give --rule too")
    if rule not in [known.value for known in Rule]:
        known = ", ".join(one.value for one in Rule)
        raise typer.BadParameter(f"--rule is one of {known}")
    if not strictness and is_lossy(Rule(rule)):
        raise typer.BadParameter(f"{rule} is lossy: say how much with --strictness, 0 to 1")
    try:
        acceptance = with_strictness(Acceptance(Rule(rule)), strictness or "1")
        check_acceptance(acceptance)
    except ValueError:
        raise typer.BadParameter("--strictness is a number from 0 to 1, or learned") from None
    except InvalidRequest as error:
        raise typer.BadParameter(str(error)) from None
    return acceptance


def check_plan(text: str) -> str:
    """Return the text of --plan; a plan that cannot be read is bad usage."""
    if "<-" in text:
        try:
            parse_plan(text)
        except InvalidRequest as error:
            raise typer.BadParameter(str(error)) from None
    return text


async def chosen_plan(client: RouterClient, text: str) -> Outline | str | None:
    """Return what `text` stands for: a plan, the name of one, a tier alone; None for nothing.

    Raises NotFound for a name that the router does not know.
    """
    if not text:
        return None
    if "<-" in text:
        return parse_plan(text)
    overview = await client.tiers()
    names = [plan.name for plan in overview.plans]
    if text in names:
        return text
    if text in {replica.tier for replica in overview.replicas}:
        return Outline(text)
    raise NotFound(f"no plan or tier {text!r}; the plans are {', '.join(names)}")
