"""What idle drafters would have drafted, held against what they do draft."""

from contextlib import AsyncExitStack
from dataclasses import replace
from types import SimpleNamespace

import pytest

from services.router import metrics
from services.router.fleet import Fleet
from services.router.learning.learned import Advice
from services.router.studies.draft_scoring import draft_scoring
from services.router.studies.off_path import Answered
from services.router.watching import look_at
from tests.router.fleets import description, fleet_of
from tests.speculation.answers import HOT, Answer, answer, ask
from tests.speculation.fleet import Fleet as Services
from tests.speculation.fleet import Models, Replica, Weights
from tiercel import tiers
from tiercel.clients.tier import score
from tiercel.descriptions import Residency
from tiercel.learning import DraftScore
from tiercel.scores import ScoreAsk
from tiercel.sessions import Ask, DraftPrefix
from tiercel.speculation import pace
from tiercel.types import (
    Acceptance,
    Constraint,
    ConstraintForm,
    Message,
    PairStats,
    Plan,
    Rule,
)
from tiercel.wire.requests import TokenIds

PROMPT = (Message("user", "Tell me of the sea"),)
GREEDY = {"temperature": 0.0}
LIKE_ROOT, OFTEN_RIGHT = Weights(), Weights(noise=0.05)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory):
    models = Models(tmp_path_factory.mktemp("models"))
    yield models
    models.close()


@pytest.fixture(autouse=True)
def patient_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parent that is told to draft in any case waits for its drafters on a busy machine too."""
    monkeypatch.setattr(pace, "_ALWAYS_WAIT_S", 30.0)


@pytest.fixture
async def services(models: Models):
    services = Services(models)
    yield services
    await services.close()


def configured(plans: dict[str, str], *, lookups=()) -> tiers.Configuration:
    """Return a configuration of every tier that the plans name; `lookups` have no model."""
    names = {part.tier for text in plans.values() for part in tiers.parse_plan(text).plan().walk()}
    of_tier = {
        name: {
            "service": "drafter" if name in lookups else "verifier",
            "engine": "suffix" if name in lookups else "onnx",
            "addresses": ["localhost:1"],
        }
        for name in names
    }
    return tiers.parse({"tiers": of_tier, "plans": plans, "default_plan": next(iter(plans))})


async def seen(stack: AsyncExitStack, *replicas: Replica) -> Fleet:
    """Return a fleet of running tiers as a router sees it."""
    fleet = Fleet([one.name for one in replicas])
    for one in replicas:
        fleet.set_addresses(one.name, [one.address])
        [known] = fleet.of(one.name)
        stack.push_async_callback(known.channel.close)
        while known.description is None:
            await look_at(known)
    return fleet


def answered(plan: Plan, wanted: Ask, said: Answer, pairs: tuple[PairStats, ...] = ()) -> Answered:
    """Return an answer as the router has it at the end."""
    prompt = said.opened.prompt
    ids = TokenIds(tuple(said.token_ids), prompt.tokenizer_fingerprint)
    return Answered(
        SimpleNamespace(ask=wanted, kind="tales"),
        SimpleNamespace(decision_id="d"),
        plan,
        SimpleNamespace(usage=SimpleNamespace(pairs=pairs)),
        DraftPrefix(plan.tier, ids, said.text),
        prompt,
    )


def studies(plans: dict[str, str], fleet: Fleet, *, lookups=(), share: float = 1.0):
    """Return the study of look-ups, and that of models."""
    return draft_scoring(configured(plans, lookups=lookups), fleet, Advice(), share=share)


def counted(scores: list[DraftScore]) -> dict[tuple[str, str], tuple[int, int]]:
    return {
        (one.drafter, one.verifier): (one.num_matched_tokens, one.num_missed_tokens)
        for one in scores
    }


def asked(**sampling) -> Ask:
    return ask(PROMPT, max_new_tokens=80, ignore_eos=True, **sampling)


@pytest.mark.parametrize("sampling", [GREEDY, HOT])
async def test_a_score_is_what_drafting_would_have_shown(services: Services, sampling):
    root = await services.model("root", LIKE_ROOT)
    draft = await services.model("draft", OFTEN_RIGHT)
    wanted = asked(**sampling)
    told = await answer(services, root, root.plan(draft.plan(num_speculative_tokens=4)), wanted)
    [pair] = told.end.usage.pairs
    async with AsyncExitStack() as stack:
        fleet = await seen(stack, root, draft)
        _, study = studies({"pair": "root <- draft"}, fleet)
        [found] = await study.look(answered(root.plan(), wanted, told))
    assert (found.kind, found.decision_id) == ("tales", "d")
    # Each place is one or the other, and drafting came to most of them.
    assert found.num_matched_tokens + found.num_missed_tokens == len(told.token_ids) == 80
    num_unjudged = 80 - pair.num_accepted_tokens - pair.num_rejected_tokens
    assert pair.num_accepted_tokens > 0 and pair.num_rejected_tokens > 0
    assert 0 <= found.num_matched_tokens - pair.num_accepted_tokens <= num_unjudged
    assert 0 <= found.num_missed_tokens - pair.num_rejected_tokens <= num_unjudged
    # No token came from the drafter in whose place it would not have said it.
    asking = ScoreAsk(told.opened.prompt, (ids_of(told),), wanted.sampling)
    [scored] = (await score(services.channel(draft), asking, timeout_s=150)).continuations
    places = iter(zip(scored.choices, told.token_ids, strict=True))
    for span in (span for commit in told.commits for span in commit.spans):
        own = [next(places) for _ in range(span.num_tokens)]
        assert span.tier == "root" or all(one.token_id == true for one, true in own)


def ids_of(told: Answer) -> TokenIds:
    return TokenIds(tuple(told.token_ids), told.opened.prompt.tokenizer_fingerprint)


@pytest.mark.parametrize(("sampling", "is_same"), [(GREEDY, True), (HOT, True), (HOT, False)])
async def test_a_drafter_that_is_the_root_misses_nowhere_with_the_same_noise(
    services: Services, sampling, is_same
):
    root, twin = [await services.model(name, LIKE_ROOT) for name in ("root", "twin")]
    wanted = asked(**sampling)
    told = await answer(services, root, root.plan(), wanted)
    if not is_same:
        wanted = replace(wanted, sampling=replace(wanted.sampling, seed=8))
    async with AsyncExitStack() as stack:
        fleet = await seen(stack, root, twin)
        _, study = studies({"pair": "root <- twin"}, fleet)
        found = counted(await study.look(answered(root.plan(), wanted, told)))
    assert (found["twin", "root"] == (80, 0)) is is_same


async def test_a_drafter_lower_down_is_held_against_its_own_parent(services: Services):
    root = await services.model("root", LIKE_ROOT)
    middle, leaf = [await services.model(name, OFTEN_RIGHT) for name in ("middle", "leaf")]
    wanted = asked(**HOT)
    told = await answer(services, root, root.plan(), wanted)
    plans = {"chain": "root <- middle <- leaf", "pair": "root <- leaf", "lossy": "middle <- leaf"}
    async with AsyncExitStack() as stack:
        fleet = await seen(stack, root, middle, leaf)
        _, study = studies(plans, fleet)
        found = counted(await study.look(answered(root.plan(), wanted, told)))
        ran = PairStats("middle", "root", num_accepted_tokens=1)
        rest = counted(await study.look(answered(root.plan(), wanted, told, (ran,))))
    assert found.keys() == {("middle", "root"), ("leaf", "middle"), ("leaf", "root")}
    assert found["leaf", "middle"] == (80, 0)
    assert found["leaf", "root"] == found["middle", "root"] != (80, 0)
    assert rest.keys() == {("leaf", "middle"), ("leaf", "root")}


async def test_where_a_drafter_would_have_said_nothing_is_no_miss(services: Services):
    root = await services.model("root", LIKE_ROOT)
    draft, lookup = await services.model("draft", OFTEN_RIGHT), await services.suffix("lookup")
    wanted = asked(**HOT)
    told = await answer(services, root, root.plan(), wanted)
    plans = {"one": "root <- draft:4@0.3", "other": "root <- lookup"}
    async with AsyncExitStack() as stack:
        fleet = await seen(stack, root, draft, lookup)
        both = [
            counted(await study.look(answered(root.plan(), wanted, told)))
            for study in studies(plans, fleet, lookups=["lookup"])
        ]
    asking = ScoreAsk(told.opened.prompt, (ids_of(told),), wanted.sampling)
    for replica, least, found in ((lookup, 0.0, both[0]), (draft, 0.3, both[1])):
        [one] = (await score(services.channel(replica), asking, timeout_s=150)).continuations
        said = [
            own.token_id == true
            for own, true in zip(one.choices, told.token_ids, strict=True)
            if own.token_id is not None and own.prob >= least
        ]
        assert 0 < len(said) < 80
        assert found == {(replica.name, "root"): (sum(said), len(said) - sum(said))}


async def test_what_cannot_be_asked_is_left_out_and_counted():
    about = {
        "away": description("away", residency=Residency.AWAY),
        "foreign": description("foreign", tokenizer_fingerprint="g"),
        "short": description("short", max_length=4),
        "refused": description("refused"),  # nobody listens there
        "lost": None,
    }
    plans = {name: f"root <- {name}" for name in about}
    said = Answer(opened=SimpleNamespace(prompt=TokenIds((1, 2), "f")), token_ids=[3, 4, 5])
    results = dict(zip(about, ("away", "foreign", "too long", "refused", "away"), strict=True))
    before = {name: count_of(name, result) for name, result in results.items()}
    async with fleet_of({"root": description("root"), **about}) as fleet:
        _, study = studies(plans, fleet)
        assert not await study.look(answered(Plan("root"), asked(), said))
        empty = Answer(opened=said.opened)
        assert not await study.look(answered(Plan("root"), asked(), empty))
    after = {name: count_of(name, result) for name, result in results.items()}
    assert after == {name: number + 1 for name, number in before.items()}


def count_of(tier: str, result: str) -> float:
    return metrics.num_draft_scores.labels(tier, result)._value.get()


async def test_a_share_of_the_answers_is_scored_and_look_ups_in_all():
    plans = {"one": "root <- draft", "other": "root <- lookup", "chain": "other <- draft"}
    call = SimpleNamespace(ask=asked())
    bound = SimpleNamespace(ask=replace(asked(), constraint=Constraint(ConstraintForm.REGEX, "a")))
    alone, drafted = Plan("root"), Plan("root", drafters=(Plan("draft"),))
    lossy = Plan("root", acceptance=Acceptance(Rule.LENIENT, 0.5))
    async with fleet_of({name: description(name) for name in ("root", "draft", "lookup")}) as fleet:
        assert not studies(plans, fleet, lookups=["lookup"], share=0.0)
        lookups, sampled = studies(plans, fleet, lookups=["lookup"], share=0.1)
        sampled._uniform = lambda: 0.09
        assert sampled.wants(call, None, alone) and lookups.wants(call, None, alone)
        assert not sampled.wants(call, None, drafted) and lookups.wants(call, None, drafted)
        for study in (lookups, sampled):
            assert not study.wants(bound, None, alone)
            assert not study.wants(call, None, lossy)
        sampled._uniform = lambda: 0.1
        assert not sampled.wants(call, None, alone) and lookups.wants(call, None, alone)
