"""From nothing certified to a certified strictness and back: real tiers, router and feedback."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from services.feedback.__main__ import opening
from services.feedback.settings import Settings
from tests.feedback.strictness import SETTINGS
from tests.router.audited import RIGHT
from tests.router.routers import configuration_file, reply, request, routing
from tests.speculation.fleet import Fleet as Services
from tests.speculation.fleet import Models, Weights
from tiercel import rpc
from tiercel.clients.feedback import FeedbackClient
from tiercel.clients.router import RouterClient
from tiercel.learning import LearnedPolicy, StrictnessPolicy
from tiercel.types import Acceptance, Rule

PLANS = {"learned": "root{typical=learned} <- draft:4", "exact": "root <- draft:4"}
LEVELS = (0.6, 0.2)
# Two clean audits certify a level, and strictness stands still once it is certified.
LEARNING = SETTINGS | {"strictness_levels": LEVELS, "strictness_dead_band": 1.0}
SCORED = {"audit_method": "score", "audit_grader": "tests.router.audited:grade"}
ALL = {"audit_share": 1.0, "certifying_share": 1.0, "score_share": 0.0}
ASKED = request(max_new_tokens=16, ignore_eos=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory):
    models = Models(tmp_path_factory.mktemp("models"))
    yield models
    models.close()


@pytest.fixture
async def tiers(models: Models, tmp_path: Path) -> AsyncIterator[str]:
    """The configuration of a root and of a drafter that is often right."""
    services = Services(models)
    root, draft = await services.model("root"), await services.model("draft", Weights(noise=0.05))
    yield configuration_file(tmp_path, {one.name: [one.address] for one in (root, draft)}, PLANS)
    await services.close()


@pytest.fixture
async def feedback() -> AsyncIterator[FeedbackClient]:
    with tempfile.TemporaryDirectory(prefix="tr-") as folder:
        settings = Settings(data_dir=Path(folder), poll_s=0.05, push_interval_s=0.05, **LEARNING)
        async with rpc.server(opening(settings), "localhost:0") as port:
            client = FeedbackClient(f"localhost:{port}")
            client.address = f"localhost:{port}"
            yield client
            await client.close()


@pytest.fixture(autouse=True)
def _no_harm():
    yield
    RIGHT.clear()


async def in_force(client: RouterClient) -> Acceptance:
    return (await client.route(ASKED)).plan.acceptance


def of_rule(policy: LearnedPolicy) -> StrictnessPolicy | None:
    found = (one for one in policy.strictness if (one.rule, one.kind) == (Rule.TYPICAL, ""))
    return next(found, None)


@asynccontextmanager
async def until(what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(90):
            yield
    except TimeoutError:
        raise AssertionError(f"never came to be: {what}") from None


async def test_audits_certify_a_strictness_level_by_level_and_withdraw_it(
    tiers: str, feedback: FeedbackClient
):
    async with routing(tiers, feedback=feedback.address, **ALL, **SCORED) as client:
        exact = await reply(client, replace(ASKED, plan="exact"))
        seen: list[float] = []
        async with until("the most lenient level is in force"):
            while (acceptance := await in_force(client)) == Acceptance():
                given = await reply(client, ASKED)
                if given.decision.plan.acceptance == Acceptance():
                    # Nobody is given what is tried.
                    assert given.token_ids == exact.token_ids
                told = of_rule(await feedback.policy())
                seen += [told.strictness] if told is not None else []
        assert acceptance == Acceptance(Rule.TYPICAL, LEVELS[-1])
        assert seen == sorted(seen, reverse=True) and set(seen) <= set(LEVELS)
        assert [await num_audits(feedback, level) for level in LEVELS] == [2, 2]
        lossy = await until_changed(client, exact.text)
        assert lossy.decision.reason.endswith("typical at strictness 0.2, as learned")
        assert lossy.finished.rule_use.strictness == LEVELS[-1]

        RIGHT.add(exact.text)
        async with until("the certificate is withdrawn"):
            while await in_force(client) != Acceptance():
                await reply(client, ASKED)
        assert (await reply(client, ASKED)).token_ids == exact.token_ids
        history = await feedback.history(10)
        assert any("audits found harm" in change.reason for change in history)
        decision = await client.route(ASKED)
        assert decision.reason.endswith("exact, as no strictness of typical is certified")


async def num_audits(feedback: FeedbackClient, level: float) -> float:
    """Return how many certifying audits of a level count."""
    told = b"".join([piece async for piece in feedback.export()]).decode().splitlines()
    cells = {line["cell"]: line["sums"] for line in map(json.loads, told) if "cell" in line}
    words = cells[f'["level","typical","{level:.3f}",""]'].split()
    return float(words[words.index("audits") + 1])


async def until_changed(client: RouterClient, exact: str):
    """Return an answer that the rule has changed; a drafter may come too late for one."""
    async with until("a drafter has a say"):
        while (given := await reply(client, ASKED)).text == exact:
            pass
    return given


async def test_without_audits_nothing_is_ever_certified(tiers: str, feedback: FeedbackClient):
    off = {"audit_share": 0.0, "certifying_share": 0.0, "score_share": 0.0}
    async with routing(tiers, feedback=feedback.address, **off) as client:
        async with until("feedback has heard of answers"):
            while not (await feedback.policy()).tiers:
                await reply(client, ASKED)
        assert await in_force(client) == Acceptance()
        assert of_rule(await feedback.policy()) is None
