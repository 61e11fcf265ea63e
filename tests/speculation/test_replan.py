"""A plan may change in mid-answer below its root, and the answer stays what it was."""

import asyncio

import pytest

from tests.speculation.answers import HOT, Answer, answer, ask, eventually, plain
from tests.speculation.fleet import Fleet, Replica, Weights
from tests.speculation.tampering import Gate, tampered
from tiercel.errors import InvalidRequest, PlanRefused
from tiercel.types import Plan

pytestmark = pytest.mark.usefixtures("every_block_apart")

NOT_ALLOWED = "example.com:443"


class Staged:
    """Re-plans an answer when it has 20, 40 ... tokens, and waits until the tier follows."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.gate = fleet, Gate(20)
        self.root: Replica

    async def start(self) -> None:
        self.root = await self.fleet.model("root", tier_class=tampered(self.gate.hold))

    async def answer(self, asked, *plans: Plan) -> Answer:
        waiting = list(enumerate(plans[1:], 1))

        async def watch(session, got: Answer) -> None:
            if waiting and len(got.token_ids) >= self.gate.num_tokens:
                await self.gate.reached.wait()
                version, plan = waiting.pop(0)
                session.replan(plan)
                decoder = self.root.tier.decoders[-1]
                await eventually(lambda: decoder.plan.version == version)
                await eventually(lambda: all(link.is_open for link in decoder._links))
                self.gate.move(20 if waiting else 10_000)

        return await answer(self.fleet, self.root, plans[0], asked, watch=watch)


@pytest.fixture
async def staged(fleet: Fleet) -> Staged:
    staged = Staged(fleet)
    await staged.start()
    return staged


@pytest.mark.parametrize("sampling", [{}, HOT], ids=["greedy", "sampled"])
async def test_one_tier_two_three_and_none(fleet: Fleet, staged: Staged, sampling: dict):
    root, middle = staged.root, await fleet.model("middle", Weights("int8"))
    leaf = await fleet.model("leaf", Weights("int4"))
    plans = [
        root.plan(),
        root.plan(middle.plan(), version=1),
        root.plan(middle.plan(leaf.plan(), num_speculative_tokens=6), version=2),
        root.plan(leaf.plan(), middle.plan(), version=3),
        root.plan(version=4),
    ]
    asked = ask(max_new_tokens=120, ignore_eos=True, **sampling)
    got = await staged.answer(asked, *plans)
    versions = [commit.plan_version for commit in got.commits if commit.token_ids]
    assert versions == sorted(versions) and set(versions) == {0, 1, 2, 3, 4}
    assert not got.lost
    drafted_by = {version: set() for version in versions}
    for commit, version in zip(got.commits, versions, strict=False):
        drafted_by[version] |= {span.tier for span in commit.spans}
    assert drafted_by[0] == drafted_by[4] == {"root"}
    assert drafted_by[1] == {"root", "middle"}
    assert drafted_by[2] == {"root", "middle", "leaf"}
    pairs = {(pair.drafter, pair.verifier) for pair in got.end.usage.pairs}
    assert pairs == {("middle", "root"), ("leaf", "middle"), ("leaf", "root")}
    assert got.same == (await plain(fleet, root, asked)).same
    await eventually(lambda: not middle.num_sessions and not leaf.num_sessions)


async def test_a_drafter_that_stays_keeps_its_stream(fleet: Fleet, staged: Staged):
    kept = await fleet.model("kept", tier_class=tampered())
    left = await fleet.model("left", tier_class=tampered())
    joined = await fleet.model("joined", tier_class=tampered())
    plan = staged.root.plan
    plans = [
        plan(kept.plan(), left.plan()),
        plan(joined.plan(), kept.plan(num_speculative_tokens=7), version=1),
        plan(kept.plan(joined.plan()), version=2),
    ]
    asked = ask(max_new_tokens=100, ignore_eos=True)
    got = await staged.answer(asked, *plans)
    assert len(kept.tier.decoders) == len(left.tier.decoders) == 1
    assert len(joined.tier.decoders) == 2, "once for the root, once for kept"
    assert got.same == (await plain(fleet, staged.root, asked)).same


async def test_a_new_block_length_takes_effect(fleet: Fleet, staged: Staged):
    twin, plan = await fleet.model("twin"), staged.root.plan
    plans = [plan(twin.plan(num_speculative_tokens=n), version=v) for v, n in enumerate((2, 9, 1))]
    got = await staged.answer(ask(max_new_tokens=100, ignore_eos=True), *plans)
    longest = {
        version: max(len(c.token_ids) for c in got.commits if c.plan_version == version)
        for version in range(3)
    }
    assert longest == {0: 3, 1: 10, 2: 2}


async def test_no_speculative_tokens_end_the_stream(fleet: Fleet, staged: Staged):
    twin, plan = await fleet.model("twin", tier_class=tampered()), staged.root.plan
    plans = [plan(twin.plan()), plan(twin.plan(num_speculative_tokens=0), version=1)]
    got = await staged.answer(ask(max_new_tokens=60, ignore_eos=True), *plans)
    assert set(got.sources[30:]) == {"root"}
    await eventually(lambda: twin.num_sessions == 0)


class Held:
    """A root whose answers stand still after some tokens, until what a re-plan leads to is seen."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.gate = fleet, Gate(20)
        self.root: Replica

    async def answer(self, first: Plan, second: Plan | None) -> Answer:
        self.gate.opened.clear()

        def watch(session, got: Answer) -> None:
            if second is not None and got.opened and not got.token_ids:
                session.replan(second)
            if got.lost:
                self.gate.opened.set()

        asked = ask(max_new_tokens=60, ignore_eos=True)
        return await answer(self.fleet, self.root, first, asked, watch=watch)


@pytest.fixture
async def held(fleet: Fleet) -> Held:
    held = Held(fleet)
    held.root = await fleet.model("root", tier_class=tampered(held.gate.hold))
    return held


async def test_another_root_is_refused(fleet: Fleet, held: Held):
    root, other = held.root, await fleet.model("other")
    with pytest.raises(InvalidRequest, match=r"plan.tier='other': this is root"):
        await held.answer(root.plan(), other.plan(version=1))
    await eventually(lambda: root.num_sessions == 0)


@pytest.mark.parametrize(
    ("drafters", "why"),
    [
        ((Plan("a", "localhost:1", (Plan("a", "localhost:2"),)),), "'a' stands twice"),
        ((Plan("root", "localhost:1"),), "'root' stands twice"),
        ((Plan("a", "localhost:1", (Plan("b", "localhost:1"),)),), "'localhost:1' stands twice"),
        ((Plan("a"),), "has no address"),
        ((Plan("a", NOT_ALLOWED),), f"'{NOT_ALLOWED}' of tier 'a' is not allowed"),
        ((Plan("a", "localhost:1", (Plan("b", NOT_ALLOWED),)),), "is not allowed"),
        ((Plan("", "localhost:1"),), "without a name"),
        ((Plan("a", "localhost:1"), Plan("a", "localhost:1")), "one drafter twice"),
    ],
)
async def test_a_bad_plan_is_refused_at_once_and_in_mid_answer(
    fleet: Fleet, held: Held, drafters, why: str
):
    root = held.root
    bad = root.plan(*drafters)
    with pytest.raises(PlanRefused, match=why):
        await answer(fleet, root, bad, ask())
    with pytest.raises(PlanRefused, match=why):
        await held.answer(root.plan(), bad)
    await eventually(lambda: root.num_sessions == 0)
    held.gate.opened.set()
    assert (await plain(fleet, root, ask())).token_ids


async def test_a_plan_is_at_most_eight_deep(fleet: Fleet):
    root = await fleet.model("root")

    def chain(depth: int) -> Plan:
        plan = Plan(f"tier-{depth}", f"localhost:{depth}")
        for level in range(depth - 1, 1, -1):
            plan = Plan(f"tier-{level}", f"localhost:{level}", (plan,))
        return root.plan(plan)

    assert chain(9).depth == 9
    with pytest.raises(PlanRefused, match="deeper than 8"):
        await answer(fleet, root, chain(9), ask())
    assert (await answer(fleet, root, chain(8), ask())).same == (
        await plain(fleet, root, ask())
    ).same


async def test_a_middle_tier_dials_only_what_it_is_allowed_to(fleet: Fleet, held: Held):
    """Its own list counts, not its parent's: when the plan comes first, and when it changes."""
    root, leaf = held.root, await fleet.model("leaf")
    middle = await fleet.model("middle", allowed_drafters=("localhost:1",))
    first, later = [root.plan(middle.plan(leaf.plan()), version=n) for n in (0, 1)]
    refused = await held.answer(first, None)
    changed = await held.answer(root.plan(middle.plan()), later)
    for got in (refused, changed):
        assert any("not allowed" in lost.reason for lost in got.lost)
        assert ("root", "middle") in [lost.path for lost in got.lost]
        assert "leaf" not in got.sources
        assert leaf.num_sessions == 0


async def test_zero_speculative_tokens_open_no_stream(fleet: Fleet):
    root = await fleet.model("root", tier_class=tampered())
    twin = await fleet.model("twin", tier_class=tampered())
    asked = ask(max_new_tokens=60, ignore_eos=True)
    got = await answer(fleet, root, root.plan(twin.plan(num_speculative_tokens=0)), asked)
    assert twin.tier.decoders == []
    assert not root.tier._channels._channels, "not even a connection"
    assert not root.tier.decoders[0]._links
    assert got.end.usage.pairs == ()
    assert got.same == (await plain(fleet, root, asked)).same
    assert got.tier("root").num_forward_passes == 60


async def test_a_drafter_that_refuses_costs_no_answer(fleet: Fleet):
    """A full tier, another tier's name, nobody there: each is told, and the root answers alone."""
    root, twin = await fleet.model("root"), await fleet.model("twin")
    gate = Gate(0)
    full = await fleet.model("full", tier_class=tampered(gate.hold), max_sessions=1)
    busy = asyncio.create_task(plain(fleet, full, ask()))
    await gate.reached.wait()
    asked = ask(max_new_tokens=60, ignore_eos=True)
    expected = await plain(fleet, root, asked)
    for reason, plan in {
        "all 1 sessions open": full.plan(),
        "this is twin": Plan("other", twin.address),
        "failed to connect": Plan("nobody", "localhost:1"),
    }.items():
        got = await answer(fleet, root, root.plan(plan), asked)
        assert got.same == expected.same
        assert got.lost[0].path == ("root", plan.tier)
        assert reason in got.lost[0].reason
    gate.opened.set()
    await busy
