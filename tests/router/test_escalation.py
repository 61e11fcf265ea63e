"""Larger tiers that take over in mid-answer: what is answered in the end is the last root's own."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from services.router import answering
from services.router.answer import Answer
from tests.router.escalations import END, ScriptedStopper, answered, asked_of, escalating
from tests.router.routers import eventually
from tests.speculation.conftest import fleet, models  # noqa: F401 - fixtures
from tests.speculation.fleet import Fleet, Weights
from tiercel.clients.router import RouterClient
from tiercel.replies import Committed
from tiercel.sessions import Delivery, SessionEnd
from tiercel.speculation.model_tier import ModelTier
from tiercel.types import Constraint, ConstraintForm, SamplingParams, Span

HOLD, REVISE = Delivery.HOLD, Delivery.REVISE
DELIVERIES = pytest.mark.parametrize("delivery", [HOLD, REVISE], ids=["hold", "revise"])
GREEDY, HOT = SamplingParams(seed=5), SamplingParams(temperature=0.8, seed=5)
LETTERS = Constraint(ConstraintForm.REGEX, "[a-z ]{40,60}")
TIERS = {
    "small": Weights(noise=0.05),
    "middle": Weights(dtype="int8"),
    "large": Weights(),
    "foreign": Weights(noise=0.05, tokenizer="bytes, reversed"),
    "own": Weights(tokenizer="bytes"),
}


@asynccontextmanager
async def cascade(fleet: Fleet, folder, stopper: ScriptedStopper, **settings):  # noqa: F811
    """Serve the stopper's plans, each a model alone, and a router over them."""
    names = stopper.plan_names
    options = {"tier_class": ModelTier, "heartbeat_s": 30.0}
    running = [await fleet.model(name, TIERS[name], **options) for name in names]
    addresses = {one.name: [one.address] for one in running}
    async with escalating(folder, addresses, stopper, **settings) as client:
        yield client


def wanted(**fields):
    defaults = {"max_new_tokens": 48, "ignore_eos": True, "prompt": "Once upon a time"}
    return asked_of(**(defaults | fields))


async def truth(client: RouterClient, plan: str, asked):
    return await answered(client, replace(asked, plan=plan, delivery=Delivery.STREAM))


@DELIVERIES
@pytest.mark.parametrize("sampling", [GREEDY, HOT], ids=["greedy", "sampled"])
async def test_the_answer_is_the_larger_root_s_own(fleet, tmp_path, delivery, sampling) -> None:  # noqa: F811
    for point in (8, 32, END):
        stopper = ScriptedStopper({("small", point): "large"})
        async with cascade(fleet, tmp_path, stopper) as client:
            asked = replace(wanted(delivery=delivery), sampling=sampling)
            got = await answered(client, asked)
            assert got.same == (await truth(client, "large", asked)).same
            assert got.same != (await truth(client, "small", asked)).same
            assert got.changes == [("small", "large")]
            assert (got.finished.plan_name, got.finished.exact) == ("large", True)
            assert got.decision.plan_name == "small"
            assert len(got.revisions) == (delivery is REVISE)
            pair = next(one for one in got.finished.usage.pairs if one.drafter == "small")
            tiers = {one.tier: one for one in got.finished.usage.tiers}
            assert tiers["small"].num_committed_tokens == pair.num_accepted_tokens
            if delivery is HOLD:
                assert got.sources.count("small") == pair.num_accepted_tokens


@DELIVERIES
async def test_the_answer_is_the_larger_root_s_own_in_other_words(fleet, tmp_path, delivery):  # noqa: F811
    stopper = ScriptedStopper({("foreign", 16): "own"}, plan_names=("foreign", "own"))
    async with cascade(fleet, tmp_path, stopper) as client:
        asked = wanted(delivery=delivery, constraint=LETTERS, ignore_eos=False)
        got = await answered(client, asked)
        assert got.same == (await truth(client, "own", asked)).same
        assert [one.from_position for one in got.revisions] == [0] * (delivery is REVISE)
        pair = next(one for one in got.finished.usage.pairs if one.drafter == "foreign")
        assert pair.num_accepted_tokens > 0


async def test_a_router_that_keeps_what_was_said_unjudged_is_seen(fleet, tmp_path, monkeypatch):  # noqa: F811
    """The negative control of the tests above."""

    class Keeping(Answer):
        async def events(self):
            prefix, self._ask = self._ask.draft_prefix, replace(self._ask, draft_prefix=None)
            if prefix is not None:
                ids = prefix.ids.token_ids
                self._tally.append(Committed(0, ids, prefix.text, (Span("small", len(ids)),)))
                yield Committed(0, ids, prefix.text, (Span("small", len(ids)),))
            async for event in super().events():
                yield event

    monkeypatch.setattr(answering, "Answer", Keeping)
    stopper = ScriptedStopper({("small", 32): "large"})
    async with cascade(fleet, tmp_path, stopper) as client:
        asked = wanted(delivery=HOLD)
        got = await answered(client, asked)
        assert len(got.token_ids) == 48
        assert got.same != (await truth(client, "large", asked)).same


@DELIVERIES
async def test_three_plans_one_after_the_other(fleet, tmp_path, delivery) -> None:  # noqa: F811
    script = {("small", 8): "middle", ("middle", 16): "large"}
    stopper = ScriptedStopper(script, plan_names=("small", "middle", "large"))
    async with cascade(fleet, tmp_path, stopper) as client:
        asked = wanted(delivery=delivery)
        got = await answered(client, asked)
        assert got.same == (await truth(client, "large", asked)).same
        assert got.changes == [("small", "middle"), ("middle", "large")]
        stages = got.finished.stages
        assert [one.stage for one in stages] == list(range(len(stages)))
        assert {one.propensity for one in stages} == {0.5}


@DELIVERIES
async def test_the_small_tier_may_go_on_as_a_drafter(fleet, tmp_path, delivery) -> None:  # noqa: F811
    stopper = ScriptedStopper({("small", 8): "large"})
    plans = {"small": "small", "large": "large <- small:4"}
    async with cascade(fleet, tmp_path, stopper, plans=plans) as client:
        asked = wanted(delivery=delivery)
        got = await answered(client, asked)
        alone = replace(asked, plan="large", delivery=Delivery.STREAM)
        assert got.same == (await answered(client, alone)).same


async def test_evidence_hangs_on_the_check_point_alone(fleet, tmp_path) -> None:  # noqa: F811
    stopper = ScriptedStopper({})
    async with cascade(fleet, tmp_path, stopper) as client:
        for delivery in (HOLD, REVISE):
            got = await answered(client, wanted(delivery=delivery))
            assert got.same == (await truth(client, "small", wanted())).same
            assert not got.changes and not got.revisions
            assert got.finished.plan_name == "small"
        first, second = stopper.states[:4], stopper.states[4:]
        assert [one.check_point for one in first] == [8, 16, 32, 48]
        assert [one.is_over for one in first] == [False, False, False, True]
        assert [len(one.evidence) for one in first] == [8, 16, 32, 48]
        assert first == second


async def test_streams_are_never_looked_at(fleet, tmp_path) -> None:  # noqa: F811
    stopper = ScriptedStopper({("small", 8): "large"})
    async with cascade(fleet, tmp_path, stopper) as client:
        for asked in (wanted(), wanted(plan="small", delivery=HOLD)):  # the latter is not ours
            got = await answered(client, asked)
            assert got.finished.plan_name == "small"
            assert not got.finished.stages
        assert not stopper.states


async def test_stops_and_log_probabilities_are_the_larger_root_s(fleet, tmp_path) -> None:  # noqa: F811
    stopper = ScriptedStopper({("small", 8): "large"})
    async with cascade(fleet, tmp_path, stopper) as client:
        plain = await truth(client, "large", wanted())
        stop = replace(wanted().stop, strings=(plain.text[15:18],))
        for delivery in (HOLD, REVISE):
            asked = replace(wanted(delivery=delivery), stop=stop)
            got = await answered(client, asked)
            assert got.same == (await truth(client, "large", asked)).same
        told = replace(wanted(delivery=REVISE), logprobs=True)
        got = await answered(client, told)
        assert got.same == plain.same
        assert [one.from_position for one in got.revisions] == [0]


async def test_an_earlier_answer_can_be_gone_back_to(fleet, tmp_path) -> None:  # noqa: F811
    script = {("small", END): "large", ("large", END): "small"}
    stopper = ScriptedStopper(script, recalls=True)
    async with cascade(fleet, tmp_path, stopper) as client:
        for delivery in (HOLD, REVISE):
            got = await answered(client, wanted(delivery=delivery))
            assert got.same == (await truth(client, "small", wanted())).same
            assert got.changes == [("small", "large"), ("large", "small")]
            assert got.finished.plan_name == "small"


async def test_nothing_is_left_when_the_client_leaves(fleet, tmp_path) -> None:  # noqa: F811
    stopper = ScriptedStopper({("small", 8): "large"})
    async with cascade(fleet, tmp_path, stopper) as client:
        for number in (1, 3):
            events = client.generate(wanted(delivery=REVISE, max_new_tokens=400))
            for _ in range(number):
                await anext(events)
            await events.aclose()
        replicas = fleet._replicas
        await eventually(lambda: all(one.num_sessions == 0 for one in replicas))


async def test_held_answers_are_sent_when_nothing_can_overrule_them(fleet, tmp_path) -> None:  # noqa: F811
    """Seen inside the router: on a socket it would be chance which comes first."""
    from services.router.cascade.escalation import Escalation

    parts, seen = [], []
    events = Escalation.events

    async def noted(self):
        async for part in events(self):
            parts.append(part)
            yield part

    stopper = ScriptedStopper({("small", 32): "large"}, heard=lambda: seen.append(len(parts)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Escalation, "events", noted)
        async with cascade(fleet, tmp_path, stopper) as client:
            got = await answered(client, wanted(delivery=HOLD))
            assert seen == [0, 0, 0]
            assert not got.revisions
            # The largest plan cannot be overruled: it streams.
            assert len([one for one in parts if not isinstance(one, SessionEnd)]) > 1
            parts.clear()
            seen.clear()
            await answered(client, wanted(delivery=REVISE))
            assert seen[0] > 0
