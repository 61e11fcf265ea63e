"""Routers whose answers are overruled by a script, in this process, and clients that keep count."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from services.router import __main__ as main
from services.router import answering, watching
from services.router.cascade.stopper import StageState
from tests.router.routers import configuration_file, request, routing
from tiercel.clients.router import Request, RouterClient
from tiercel.replies import Committed, Decision, Finished, Revise, StageDecision, TokenEvidence
from tiercel.sessions import Delivery

END = "end"


@dataclass
class ScriptedStopper:
    """Goes over to the plan that the script names for a plan and a check point."""

    script: Mapping[tuple[str, int | str], str]
    plan_names: Sequence[str] = ("small", "large")
    check_points: Sequence[int] = (8, 16, 32)
    recalls: bool = False
    states: list[StageState] = field(default_factory=list)
    heard: Callable[[], object] = lambda: None

    def consider(self, state: StageState) -> StageDecision | None:
        self.states.append(state)
        self.heard()
        point = END if state.is_over else state.check_point
        following = self.script.get((state.plan_name, point), "")
        return StageDecision(
            stage=state.stage,
            num_tokens=state.check_point,
            plan_name=state.plan_name,
            next_plan_name=following,
            propensity=0.5,
            expected_gain=0.1,
            expected_s=1.0,
            reason="scripted",
        )


@dataclass
class ScriptedCascade:
    """Gives every answer one scripted stopper; where to begin is left to the rule of thumb."""

    stopper: ScriptedStopper

    def stoppers(self, waits):
        return lambda kind: self.stopper

    def ahead(self) -> None:
        return None


@asynccontextmanager
async def escalating(
    folder, tiers: Mapping[str, Sequence[str]], stopper: ScriptedStopper, **settings
) -> AsyncIterator[RouterClient]:
    """Run a router whose plans are the tiers alone, the first the default; yield a client.

    It is patient on a machine that is busy, unless it is told to be otherwise.
    """
    plans = settings.pop("plans", {name: name for name in tiers})
    config = configuration_file(folder, tiers, plans, drafters=settings.pop("drafters", ()))
    first_outage_s = settings.pop("first_outage_s", 60.0)
    patient = {"heartbeat_s": 30.0, "max_outage_s": 60.0}
    options = {"policy": "cascade", "stopping": "scripted"} | patient | settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answering, "_FIRST_OUTAGE_S", first_outage_s)
        patch.setattr(watching, "_TIMEOUT_S", 30.0)
        patch.setattr(main, "trained_cascade", lambda *_: ScriptedCascade(stopper))
        async with routing(config, **options) as client:
            yield client


class Revisable:
    """An answer as a client holds it, checked at every event to be in order, and to end once."""

    def __init__(self) -> None:
        self.decision: Decision | None = None
        self.finished: Finished | None = None
        self.revisions: list[Revise] = []
        self.tokens: list[tuple[int, str]] = []  # with who said it first
        self.text = ""
        self.num_events = 0

    def take(self, event) -> None:
        assert self.finished is None, "something came after the end"
        if isinstance(event, Decision):
            assert self.decision is None
            self.decision = event
        elif isinstance(event, Finished):
            self.finished = event
        elif isinstance(event, Revise):
            self.revisions.append(event)
            assert event.from_position <= len(self.tokens)
            del self.tokens[event.from_position :]
            self.text = self.text[: event.text_length]
        else:
            self._commit(event)

    def _commit(self, event: Committed) -> None:
        assert event.position == len(self.tokens), "a token is missing or came twice"
        assert not event.evidence, "this is for the router alone"
        sources = [span.tier for span in event.spans for _ in range(span.num_tokens)]
        self.tokens += zip(event.token_ids, sources, strict=True)
        self.text += event.text

    @property
    def token_ids(self) -> list[int]:
        return [token_id for token_id, _ in self.tokens]

    @property
    def sources(self) -> list[str]:
        return [source for _, source in self.tokens]

    @property
    def same(self) -> tuple:
        """What must be the answer of one root, whoever drafted for it."""
        assert self.finished is not None
        number = self.finished.usage.num_completion_tokens
        return self.token_ids, self.text, self.finished.reason, self.finished.stop_string, number

    @property
    def changes(self) -> list[tuple[str, str]]:
        """The plans that took over, and from which."""
        stages = self.finished.stages
        return [(one.plan_name, one.next_plan_name) for one in stages if one.next_plan_name]


async def answered(client: RouterClient, asked: Request, watch=lambda got: None) -> Revisable:
    """Return the whole answer; `watch` sees it after every event."""
    got = Revisable()
    async for event in client.generate(asked):
        got.take(event)
        if (wait := watch(got)) is not None:
            await wait
    assert got.finished is not None
    return got


def asked_of(plan: str = "", delivery: Delivery = Delivery.STREAM, **fields) -> Request:
    return request(plan=plan or None, delivery=delivery, **fields)


def evidence(*logprobs: float) -> tuple[TokenEvidence, ...]:
    return tuple(TokenEvidence(one, 0.5, 1.0) for one in logprobs)
