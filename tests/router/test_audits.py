"""Audits of real answers: the same seed under EXACT, and when one is worse than another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from types import SimpleNamespace

import pytest

from services.router.call import Call
from services.router.fleet import Fleet
from services.router.learning.learned import Advice
from services.router.learning.strictness import next_level
from services.router.studies.audits import Audits, AuditShares
from services.router.studies.harm import ByLikelihood, Harm
from services.router.studies.rerunning import Rerunner
from tests.router.audited import answered, seen
from tests.speculation.answers import HOT, Answer, answer, ask
from tests.speculation.fleet import Fleet as Services
from tests.speculation.fleet import Models, Replica, Weights
from tiercel.errors import Unavailable
from tiercel.learning import LearnedPolicy, StrictnessPolicy
from tiercel.plan_text import parse_plan
from tiercel.replies import StageDecision
from tiercel.sessions import Ask, Objective
from tiercel.types import (
    Acceptance,
    Constraint,
    ConstraintForm,
    FinishReason,
    Message,
    Plan,
    Rule,
)

PROMPT = (Message("user", "Tell me of the sea"),)
LEARNED = Acceptance(Rule.TYPICAL, 0.0, learned=True)
LOSSY, NEARLY_EXACT = Acceptance(Rule.TYPICAL, 0.2), Acceptance(Rule.TYPICAL, 0.95)
EXACT, OPEN = Acceptance(), Objective(acceptance=LEARNED)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory):
    models = Models(tmp_path_factory.mktemp("models"))
    yield models
    models.close()


class Pair:
    """A root and a drafter that is often right, and the fleet as a router sees it."""

    def __init__(self, services: Services, root: Replica, draft: Replica, fleet: Fleet) -> None:
        self.services, self.root, self.draft, self.fleet = services, root, draft, fleet

    def plan(self, acceptance: Acceptance = EXACT) -> Plan:
        draft = self.draft.plan(num_speculative_tokens=4)
        return self.root.plan(draft, acceptance=acceptance)

    async def said(self, plan: Plan) -> Answer:
        """Return the answer to `asked()`; under the lossy rule one that it has changed.

        On a busy machine a drafter may come too late for all of an answer.
        """
        async with asyncio.timeout(90):
            while True:
                said = await answer(self.services, self.root, plan, asked())
                if plan.acceptance != LOSSY or said.end.rule_use.num_divergent_tokens:
                    return said


@pytest.fixture
async def pair(models: Models) -> AsyncIterator[Pair]:
    services = Services(models)
    root, draft = await services.model("root"), await services.model("draft", Weights(noise=0.05))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(services.close)
        yield Pair(services, root, draft, await seen(stack, root, draft))


def audits(fleet: Fleet, *policies: StrictnessPolicy, delta: float = 0.0, draw: float = 0.5):
    advice = Advice()
    advice.take(LearnedPolicy("e", 1, strictness=policies))
    rerunner = Rerunner(fleet, heartbeat_s=2.0, max_request_s=120.0)
    return Audits(
        {"learned": parse_plan("root{typical=learned} <- draft")},
        advice,
        rerunner,
        ByLikelihood(fleet, delta),
        AuditShares(running=0.1, certifying=0.3),
        uniform=lambda: draw,
    )


def asked(**sampling) -> Ask:
    return ask(PROMPT, max_new_tokens=40, ignore_eos=True, **sampling)


async def test_harm_is_a_loss_of_the_roots_own_likelihood(pair: Pair):
    plain, lossy = await pair.said(pair.plan()), await pair.said(pair.plan(LOSSY))
    given = answered(pair.plan(LOSSY), asked(), lossy)
    [audit] = await audits(pair.fleet).look(given)
    assert (audit.decision_id, audit.kind, audit.rule) == ("d", "tales", Rule.TYPICAL)
    assert (audit.strictness, audit.certifying, audit.method) == (0.2, False, "likelihood")
    assert audit.divergence == lossy.end.rule_use.divergence > 0
    # The same as from the log-probabilities that the answers themselves carry.
    means = [sum(one.logprob for one in each.logprobs) / 40 for each in (plain, lossy)]
    assert audit.loss == pytest.approx(means[0] - means[1], abs=1e-4) != 0
    for delta, harmed in ((audit.loss - 1e-3, True), (audit.loss + 1e-3, False)):
        [again] = await audits(pair.fleet, delta=delta).look(given)
        assert again.harmed is harmed


async def test_the_same_seed_matters_another_one_calls_what_is_equal_harmed(pair: Pair):
    plan, wanted = pair.plan(NEARLY_EXACT), asked(**HOT)
    given = answered(plan, wanted, await answer(pair.services, pair.root, plan, wanted))
    [audit] = await audits(pair.fleet).look(given)
    assert (audit.harmed, audit.loss) == (False, 0.0)
    losses = []
    for seed in range(1, 5):
        sampling = replace(wanted.sampling, seed=seed)
        call = replace(given.call, ask=replace(wanted, sampling=sampling))
        losses += [(await audits(pair.fleet).look(replace(given, call=call)))[0].loss]
    assert max(losses) > 0.05 and 0.0 not in losses


async def test_what_is_certified_is_an_answer_that_nobody_was_given(pair: Pair):
    told = StrictnessPolicy(Rule.TYPICAL, "", LOSSY.strictness)
    given = answered(pair.plan(), asked(), await pair.said(pair.plan()), OPEN)
    study = audits(pair.fleet, told)
    study._comparison = compared = Compared()
    async with asyncio.timeout(90):
        while not compared.pairs:  # until a drafter came in time
            [audit] = await study.look(given)
    assert (audit.certifying, audit.strictness, audit.rule) == (True, 0.2, Rule.TYPICAL)
    assert (audit.harmed, audit.loss, audit.method) == (True, 0.5, "judge")
    assert audit.divergence > 0
    [both] = compared.pairs
    assert both.exact == given.said
    assert both.lossy.ids != given.said.ids and both.lossy.text != given.said.text


class Compared:
    """Finds every answer worse, and keeps what it was shown."""

    method = "judge"

    def __init__(self) -> None:
        self.pairs = []

    async def compare(self, pair) -> Harm:
        self.pairs.append(pair)
        return Harm(harmed=True, loss=0.5)


async def test_what_was_not_whole_or_not_one_roots_is_not_audited(pair: Pair):
    given = answered(pair.plan(LOSSY), asked(), await pair.said(pair.plan(LOSSY)))
    stage = StageDecision(0, 8, "a", "b", 1.0, 0.1, 1.0, "")
    broken = [
        {"reason": FinishReason.CANCELLED},
        {"reason": FinishReason.DEADLINE},
        {"exact": False},
        {"stages": (stage,)},
        {"rule_use": None},
        {"rule_use": replace(given.finished.rule_use, num_compared_tokens=0)},
    ]
    for fields in broken:
        finished = replace(given.finished, **fields)
        assert not await audits(Fleet([])).look(replace(given, finished=finished)), fields
    kept = replace(stage, next_plan_name="")
    whole = replace(given, finished=replace(given.finished, stages=(kept,)))
    assert len(await audits(pair.fleet).look(whole)) == 1


async def test_who_is_away_is_not_waited_for(pair: Pair):
    given = answered(pair.plan(LOSSY), asked(), await pair.said(pair.plan(LOSSY)))
    with pytest.raises(Unavailable, match="'root' takes work"):
        await audits(Fleet(["root", "draft"])).look(given)


def test_the_level_that_is_tried():
    advice = Advice()
    assert next_level(Rule.TYPICAL, advice, "") is None, "nobody would be told"
    advice.take(LearnedPolicy("e", 1))
    assert next_level(Rule.TYPICAL, advice, "tales") == 0.95
    trying = StrictnessPolicy(Rule.TYPICAL, "", 0.7)
    own = replace(trying, kind="tales", strictness=0.9)
    for told, level in [
        ((trying,), 0.7),
        ((trying, own), 0.9),
        ((trying, replace(own, certified=True)), None),
        ((replace(trying, certified=True),), None),
        ((replace(trying, strictness=1.0),), None),
    ]:
        advice.take(LearnedPolicy("e", 1, strictness=told))
        assert next_level(Rule.TYPICAL, advice, "tales") == level


@pytest.mark.parametrize(
    ("plan", "asked_for", "certified", "share"),
    [
        ("root{typical=0.5} <- draft", None, False, 0.1),
        ("root <- draft", LEARNED, False, 0.3),
        ("root{typical=1.0} <- draft", LEARNED, False, 0.3),
        ("root <- draft", LEARNED, True, 0.0),
        ("root <- draft", None, False, 0.0),
        ("root{block} <- draft", None, False, 0.0),
        ("root{typical=0.5}", None, False, 0.0),
        ("root", LEARNED, False, 0.0),
    ],
)
def test_a_share_of_the_answers_is_audited(plan, asked_for, certified, share):
    told = StrictnessPolicy(Rule.TYPICAL, "", 0.7, certified=certified)
    call = (asking(asked_for), SimpleNamespace(plan_name=""))
    parsed = parse_plan(plan).plan()
    drawn = [
        draw
        for draw in (0.0, 0.05, 0.15, 0.25, 0.35)
        if audits(Fleet([]), told, draw=draw).wants(*call, parsed)
    ]
    assert drawn == [draw for draw in (0.0, 0.05, 0.15, 0.25, 0.35) if draw < share]


def test_nothing_is_audited_while_learning_is_frozen():
    study, call = audits(Fleet([]), draw=0.0), asking(LEARNED)
    decision = SimpleNamespace(plan_name="")
    plans = [parse_plan(text).plan() for text in ("root <- draft", "root{typical=0.5} <- draft")]
    assert all(study.wants(call, decision, plan) for plan in plans)
    study._advice.take(LearnedPolicy("e", 2, frozen=True))
    assert not any(study.wants(call, decision, plan) for plan in plans)


def test_what_bears_no_constraint_is_not_tried_under_one():
    given = parse_plan("root <- draft").plan()
    bound = Constraint(ConstraintForm.REGEX, "[0-9]+")
    for rule, constraint, tried in [
        (Rule.COSD_RULE, None, True),
        (Rule.COSD_RULE, bound, False),
        (Rule.TYPICAL, bound, True),
    ]:
        call = asking(Acceptance(rule, 0.0, learned=True), constraint)
        decision = SimpleNamespace(plan_name="")
        assert audits(Fleet([]), draw=0.0).wants(call, decision, given) is tried


def asking(acceptance: Acceptance | None, constraint: Constraint | None = None) -> Call:
    asked_for = replace(asked(), constraint=constraint)
    return Call(asked_for, Objective(acceptance=acceptance), "tales", "", 0.0, 0.0)
