"""AGREEMENT through the services: what drafters agree on stands, and the target sees it later."""

from dataclasses import replace

import numpy as np
import pytest

from tests.speculation.fleet import Fleet, Models, Replica, Weights
from tests.speculation.rule_fleet import Stream, long_ask, stream, toy
from tests.speculation.toy_models import markov, memoryless
from tiercel.decoding import AgreementTable, Vocabulary
from tiercel.decoding.agreement_table import Bin
from tiercel.draft_stream import TokenSequence
from tiercel.errors import PlanRefused
from tiercel.speculation.agreement import MOST_UNJUDGED
from tiercel.speculation.judging import Terms
from tiercel.speculation.link import Draft
from tiercel.speculation.runner import ModelRunner
from tiercel.speculation.session import Session
from tiercel.types import Acceptance, Plan, Rule, SamplingParams, StopConditions

TARGET = np.array([0.5, 0.2, 0.1, 0.1, 0.1])
OTHER = np.array([0.2, 0.5, 0.1, 0.1, 0.1])
AGREED = Acceptance(Rule.AGREEMENT, 0.8)


def table(*, temperature: float = 0.0, **fields) -> AgreementTable:
    """Two drafters that agree are right with probability 0.9."""
    kinds = {"": {2: (Bin(0.0, 100, 90, 0.9),)}}
    return AgreementTable("root", ("one", "two"), temperature, kinds=kinds, **fields)


async def family(
    fleet: Fleet, *drafters: np.ndarray, target=None, calibration: AgreementTable | None = None
) -> tuple[Replica, list[Replica]]:
    """Start a root and its drafters, `one` and `two`."""
    probs = memoryless(TARGET) if target is None else target
    root = await toy(fleet, "root", probs, calibration=calibration or table())
    both = zip(("one", "two"), drafters, strict=False)
    return root, [await toy(fleet, name, drafter) for name, drafter in both]


def plan_of(root: Replica, leaves: list[Replica], acceptance: Acceptance = AGREED) -> Plan:
    return root.plan(
        *(leaf.plan(num_speculative_tokens=4) for leaf in leaves), acceptance=acceptance
    )


def num_passes(got: Stream) -> int:
    return next(one.num_forward_passes for one in got.end.usage.tiers if one.tier == "root")


def num_unjudged(got: Stream) -> int:
    return got.end.rule_use.num_unjudged_tokens if got.end.rule_use else 0


@pytest.mark.parametrize("temperature", [0.0, 0.7])
async def test_passes_are_saved_and_every_token_is_compared_later(fleet: Fleet, temperature):
    """The drafters are the target itself, so nothing may diverge: a wrong row or offset would."""
    probs = markov(3)
    calibration = table(temperature=temperature)
    root, leaves = await family(fleet, probs, probs, target=probs, calibration=calibration)
    asked = long_ask(100, seed=5, temperature=temperature)
    exact = await stream(fleet, root, plan_of(root, leaves, Acceptance()), asked)
    got = await stream(fleet, root, plan_of(root, leaves), asked)
    assert got.token_ids == exact.token_ids
    assert num_passes(exact) >= 100 / 5  # four draft tokens and the target's own, at most
    assert num_passes(got) <= 100 / MOST_UNJUDGED + 3
    use = got.end.rule_use
    assert (use.rule, use.strictness) == (Rule.AGREEMENT, 0.8)
    assert use.num_unjudged_tokens > 75
    assert (use.num_compared_tokens, use.num_divergent_tokens) == (100, 0)
    strict = await stream(
        fleet, root, plan_of(root, leaves, replace(AGREED, strictness=1.0)), asked
    )
    assert (strict.token_ids, strict.end.rule_use) == (exact.token_ids, None)


async def test_what_exact_would_have_refused_is_counted_once_it_is_seen(fleet: Fleet):
    """The target ignores history: it would have said 0 everywhere, its drafters say 1."""
    root, leaves = await family(fleet, memoryless(OTHER), memoryless(OTHER))
    got = await stream(fleet, root, plan_of(root, leaves), long_ask(90, seed=1, temperature=0.0))
    use, wrong = got.end.rule_use, sum(token != 0 for token in got.token_ids)
    assert set(got.token_ids) == {0, 1}
    assert use.num_compared_tokens == 90
    assert use.num_divergent_tokens == use.num_unjudged_tokens == wrong > 60
    assert use.logprob_gap == pytest.approx(wrong * np.log(0.5 / 0.2), rel=1e-3)
    assert max(map(len, "".join(map(str, got.token_ids)).split("0"))) == MOST_UNJUDGED


async def test_one_drafter_and_two_that_disagree_let_nothing_stand(fleet: Fleet):
    """The negative control: whatever the table says, two have to agree."""
    third = np.roll(OTHER, 1)
    root, leaves = await family(fleet, memoryless(OTHER), memoryless(third))
    asked = long_ask(40, seed=1, temperature=0.0)
    for some in (leaves[:1], leaves):
        got = await stream(fleet, root, plan_of(root, some), asked)
        assert got.token_ids == [0] * 40
        assert (num_unjudged(got), got.end.rule_use.num_divergent_tokens) == (0, 0)
        assert got.end.usage.pairs[0].num_draft_tokens > 0


async def test_too_few_too_unsure_or_measured_otherwise_is_judged(fleet: Fleet):
    root, leaves = await family(fleet, memoryless(OTHER), memoryless(OTHER))
    cold, hot = (long_ask(30, seed=1, temperature=temperature) for temperature in (0.0, 0.7))
    for acceptance, asked in (
        (replace(AGREED, strictness=0.95), cold),  # the table says 0.9
        (replace(AGREED, num_agreeing=3), cold),
        (AGREED, hot),  # the table is of temperature 0
        (AGREED, replace(cold, logprobs=True)),  # of which only a pass knows
        (AGREED, replace(cold, evidence=True)),
        (AGREED, replace(cold, stop=StopConditions(30, frozenset({1})))),  # what ends an answer
    ):
        plan = plan_of(root, leaves, acceptance)
        got, exact = [
            await stream(fleet, root, each, asked)
            for each in (plan, replace(plan, acceptance=Acceptance()))
        ]
        assert got.token_ids == exact.token_ids, (acceptance, asked)
        assert num_unjudged(got) == 0


async def test_a_kind_of_request_goes_by_its_own_measurements(fleet: Fleet):
    hard = {"hard": {2: (Bin(0.0, 300, 90, 0.3),)}}
    calibration = replace(table(), kinds=table().kinds | hard)
    root, leaves = await family(
        fleet, memoryless(OTHER), memoryless(OTHER), calibration=calibration
    )
    asked = long_ask(30, seed=1, temperature=0.0)
    found = [
        num_unjudged(await stream(fleet, root, plan_of(root, leaves), replace(asked, kind=kind)))
        for kind in ("hard", "unheard of")
    ]
    assert found[0] == 0 < found[1]


async def test_a_tier_between_agrees_for_a_root_that_judges_all(fleet: Fleet):
    probs = markov(3)
    root, leaves = await family(fleet, markov(4), markov(4), target=probs)
    top = await toy(fleet, "top", probs)
    plan = top.plan(plan_of(root, leaves))
    asked = long_ask(60, seed=2, temperature=0.0)
    got = await stream(fleet, top, plan, asked)
    assert got.token_ids == (await stream(fleet, top, top.plan(), asked)).token_ids
    assert got.end.rule_use is None


async def test_what_was_not_measured_is_refused_by_name(fleet: Fleet):
    root, leaves = await family(fleet, memoryless(OTHER), memoryless(OTHER))
    bare = await toy(fleet, "bare", memoryless(TARGET))
    mine = await toy(fleet, "mine", memoryless(TARGET), calibration=table())
    stranger = await toy(fleet, "stranger", memoryless(OTHER))
    for plan, why in (
        (plan_of(bare, leaves), "bare has no calibration of agreement"),
        (plan_of(mine, leaves), "mine has the calibration of root"),
        (plan_of(root, [leaves[0], stranger]), "is of one, two, not of stranger"),
    ):
        with pytest.raises(PlanRefused, match=why):
            await stream(fleet, root if plan.tier == "root" else bare if plan.tier == "bare"
                         else mine, plan, long_ask(5, seed=1))  # fmt: skip


PROMPT = list(range(40, 77))


@pytest.fixture
def runner(models: Models) -> ModelRunner:
    model, _ = models.load("agreement", Weights("int4", engine="native"))
    return ModelRunner(model)


def session_of(runner: ModelRunner, **fields) -> Session:
    size = runner.description.vocab_size
    vocabulary = Vocabulary.of([bytes([1 + place % 200]) * 2 for place in range(size)])
    terms = Terms(len(PROMPT), SamplingParams(), calibration=table(), **fields)
    return Session(runner, vocabulary, TokenSequence(PROMPT), terms)


async def plain(runner: ModelRunner, number: int) -> list[int]:
    session = session_of(runner)
    tokens = [(await session.verify()).token_ids[0] for _ in range(number)]
    session.close()
    return tokens


async def test_a_tree_is_judged_behind_tokens_that_no_pass_has_seen(runner: ModelRunner):
    true = await plain(runner, 12)
    session = session_of(runner, acceptance=AGREED)
    said = list((await session.verify()).token_ids)
    run = Draft(tuple(true[1:4]), ("one",) * 3)
    stood = session.agree([run, replace(run, sources=("two",) * 3)], frozenset({true[3]}))
    assert stood.token_ids == tuple(true[1:3]), "what ends an answer is the target's to say"
    said += stood.token_ids
    wrong, right = Draft((true[3] + 1, 7)), Draft(tuple(true[3:6]))
    verified = await session.verify(wrong, others=[right])
    assert verified.proposed is right
    assert (verified.seen.num_compared, verified.seen.divergences) == (2, ())
    said += verified.token_ids
    while len(said) < 12:
        verified = await session.verify()
        assert verified.seen is None
        said += verified.token_ids
    assert said == true
    session.close()


async def test_a_cut_forgets_what_was_not_seen(runner: ModelRunner):
    true = await plain(runner, 6)
    session = session_of(runner, acceptance=AGREED)
    await session.verify()
    other = Draft((true[1] + 1, true[2] + 1), ("one",) * 2)
    assert session.agree([other, other], frozenset()).token_ids == other.token_ids
    session.cut(len(PROMPT) + 1)
    said = [true[0]]
    while len(said) < 6:
        verified = await session.verify()
        assert verified.seen is None
        said += verified.token_ids
    assert said == true
    session.close()


async def test_drafters_that_work_on_hidden_states_leave_every_token_to_the_target(
    runner: ModelRunner,
):
    session = session_of(runner, acceptance=AGREED)
    await session.verify()
    feed, run = session.hidden.feed(), Draft((5,), ("one",))
    assert (session.num_to_agree, session.agree([run, run], frozenset())) == (0, None)
    feed.close()
    assert session.num_to_agree == 2
    session.close()
