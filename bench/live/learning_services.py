"""A target and its drafter as services whose feedback learns the strictness of one lossy rule."""

import json
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tiercel.cli.output import Output
from tiercel.cli.private_fleet import private_deployment, running
from tiercel.clients.feedback import FeedbackClient
from tiercel.clients.router import RouterClient
from tiercel.learning import StrictnessPolicy
from tiercel.plan_text import Outline, parse_plan
from tiercel.tiers import Setting
from tiercel.types import Acceptance, Rule

# Roots are named as in step_times.json of the matrix, by which their counts are priced. A drafter
# with a model is asked whether it pays or not: what is learned of is the rule.
_LOOKUP = """
default_plan = "plan"
[tiers.smollm2-135m]
service = "verifier"
engine = "native"
model = "smollm2-135m"
dtype = "int4"
addresses = ["localhost:50051"]
[tiers.lookup]
service = "drafter"
engine = "suffix"
addresses = ["local"]
[plans]
plan = "smollm2-135m <- lookup:8"
"""
_DISTILLED = """
default_plan = "plan"
[tiers.smollm2-135m]
service = "verifier"
engine = "native"
model = "smollm2-135m"
dtype = "int4"
addresses = ["localhost:50051"]
settings = { always_draft = true }
[tiers.distilled]
service = "drafter"
engine = "distilled"
model = "smollm2-135m"
addresses = ["localhost:50061"]
[plans]
plan = "smollm2-135m <- distilled:4"
"""
_QWEN = """
default_plan = "plan"
[tiers."qwen-1.5b"]
service = "verifier"
engine = "native"
model = "~/.cache/qwen/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
dtype = "int4"
addresses = ["localhost:50051"]
settings = { always_draft = true }
[tiers."qwen-0.5b"]
service = "verifier"
engine = "native"
model = "~/.cache/qwen/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
dtype = "int4"
addresses = ["localhost:50052"]
[plans]
plan = "qwen-1.5b <- qwen-0.5b:4"
"""
PAIRS = {"lookup": _LOOKUP, "distilled": _DISTILLED, "qwen": _QWEN}


@dataclass(frozen=True)
class Lesson:
    """How strictness is certified and led; what the settings of both services are."""

    pair: str = "lookup"
    rule: Rule = Rule.TYPICAL
    # What begins at less than the last one does so much harm that audits withdraw the certificate
    # before strictness is led back.
    levels: tuple[float, ...] = (0.9, 0.8, 0.7, 0.6)
    max_harm: float = 0.2
    audits_per_level: int = 46  # of which four may be harmed
    delta: float = 0.1  # nats per token that are harm
    audit_share: float = 0.2
    answers_per_step: int = 10
    # Look-ups at a certified level diverge in one token of some hundreds: with the service's own
    # gain and dead band, a strictness that begins too strict would hardly move.
    gain: float = 10.0
    dead_band: float = 0.001
    # What begins far too lenient has to be led back before audits withdraw its certificate.
    max_step: float = 0.1
    first: float | None = None  # where strictness begins; None: the certified level

    @property
    def plan(self) -> Outline:
        """The plan, of whatever rule."""
        return parse_plan(tomllib.loads(PAIRS[self.pair])["plans"]["plan"])

    @property
    def drafter(self) -> str:
        """The tier that drafts."""
        return self.plan.drafters[0].tier

    def under(self, acceptance: Acceptance) -> Outline:
        """Return the plan with a rule at its root."""
        return replace(self.plan, acceptance=acceptance)

    @property
    def learned(self) -> Outline:
        """The plan whose strictness is left open."""
        return self.under(Acceptance(self.rule, 0.0, learned=True))

    @property
    def feedback_settings(self) -> dict[str, Setting]:
        """What the feedback service is told."""
        settings: dict[str, Setting] = {
            "max_harm": self.max_harm,
            "strictness_levels": json.dumps(self.levels),
            "audits_per_level": self.audits_per_level,
            "certify": json.dumps([self.rule.value]),
            "strictness_answers": self.answers_per_step,
            "strictness_gain": self.gain,
            "strictness_dead_band": self.dead_band,
            "strictness_max_step": self.max_step,
            "push_interval_s": 0.1,
            "poll_s": 0.2,
        }
        return settings if self.first is None else settings | {"first_strictness": self.first}

    def router_settings(self, *, certifying: bool) -> dict[str, Setting]:
        """What the router is told."""
        return {
            "audit_share": self.audit_share,
            "certifying_share": 1.0 if certifying else self.audit_share,
            "audit_delta": self.delta,
            "score_share": 0.0,
        }

    def written(self, *, certifying: bool = False, with_feedback: bool = True) -> str:
        """Return the configuration as the text of its file."""
        router = self.router_settings(certifying=certifying)
        parts = [PAIRS[self.pair], '[router]\naddress = "localhost:50050"']
        parts += ["[router.settings]", *_lines(router if with_feedback else {})]
        if with_feedback:
            parts += ['[feedback]\naddress = "localhost:50070"', "[feedback.settings]"]
            parts += _lines(self.feedback_settings)
        return "\n".join([*parts, ""])


def _lines(settings: dict[str, Setting]) -> list[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in settings.items()]


@dataclass(frozen=True)
class Classroom:
    """Running services and how they are called; `feedback` None: nobody learns."""

    lesson: Lesson
    router: RouterClient
    feedback: FeedbackClient | None

    async def strictness(self, kind: str) -> StrictnessPolicy | None:
        """Return what is learned of the rule for a kind ("": all); None if nothing is. Raises."""
        assert self.feedback is not None, "these services do not learn"
        rule = self.lesson.rule
        known = (await self.feedback.policy()).strictness
        return next((one for one in known if (one.rule, one.kind) == (rule, kind)), None)


@asynccontextmanager
async def opened(text: str, lesson: Lesson, output: Output) -> AsyncIterator[Classroom]:
    """Run the services of a configuration; they end with the context. Raises TiercelError."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "tiers.toml"
        file.write_text(text, encoding="utf-8")
        with private_deployment(file, output) as deployment:
            address = deployment.configuration.feedback.address
            async with running(deployment, output), RouterClient(deployment.router) as router:
                feedback = FeedbackClient(address) if address else None
                try:
                    yield Classroom(lesson, router, feedback)
                finally:
                    if feedback is not None:
                        await feedback.close()
