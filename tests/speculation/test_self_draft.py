"""A drafter that is the target itself is never wrong; a broken one is found out by that."""

import asyncio

import pytest

from tests.speculation.answers import HOT, Answer, answer, ask, eventually, plain
from tests.speculation.fleet import Fleet, Replica
from tests.speculation.tampering import (
    Gate,
    Slips,
    cache_not_rolled_back,
    offset_off_by_one,
    tampered,
    wrong_seed,
)

SAMPLINGS = pytest.mark.parametrize("sampling", [{}, HOT], ids=["greedy", "sampled"])
AHEAD = pytest.mark.parametrize("tokens_ahead", [0, 8])
DISTANCES = (9, 36, 59, 85)


def never_wrong(got: Answer, *drafters: str) -> bool:
    pairs = [got.pair(drafter) for drafter in drafters]
    assert all(pair.num_accepted_tokens > 0 for pair in pairs), "nothing was judged"
    return all(pair.num_rejected_tokens == 0 for pair in pairs)


async def twins(fleet: Fleet, *names: str, **habits) -> list[Replica]:
    return [await fleet.model(name, **habits) for name in names]


@SAMPLINGS
@AHEAD
@pytest.mark.parametrize("num_speculative_tokens", [1, 4, 16])
async def test_two_levels_of_one_model_never_disagree(
    fleet: Fleet, sampling: dict, tokens_ahead: int, num_speculative_tokens: int
):
    root, twin = await twins(fleet, "root", "twin", tokens_ahead=tokens_ahead)
    asked = ask(max_new_tokens=80, ignore_eos=True, **sampling)
    plan = root.plan(twin.plan(num_speculative_tokens=num_speculative_tokens))
    got = await answer(fleet, root, plan, asked)
    assert never_wrong(got, "twin")
    assert got.same == (await plain(fleet, root, asked)).same


@SAMPLINGS
@AHEAD
async def test_three_levels_of_one_model_never_disagree(
    fleet: Fleet, sampling: dict, tokens_ahead: int
):
    root, middle, leaf = await twins(fleet, "root", "middle", "leaf", tokens_ahead=tokens_ahead)
    asked = ask(max_new_tokens=80, ignore_eos=True, **sampling)
    got = await answer(fleet, root, root.plan(middle.plan(leaf.plan())), asked)
    assert never_wrong(got, "middle", "leaf")
    assert got.same == (await plain(fleet, root, asked)).same


@SAMPLINGS
@AHEAD
async def test_only_the_injected_tokens_are_rejected(
    fleet: Fleet, sampling: dict, tokens_ahead: int
):
    slips = Slips(DISTANCES)
    root, leaf = await twins(fleet, "root", "leaf", tokens_ahead=tokens_ahead)
    middle = await fleet.model(
        "middle", tier_class=tampered(slips.tamper), tokens_ahead=tokens_ahead
    )
    asked = ask(max_new_tokens=120, ignore_eos=True, **sampling)
    got = await answer(fleet, root, root.plan(middle.plan(leaf.plan())), asked)
    pair = got.pair("middle")
    assert pair.num_accepted_tokens > 0
    # One that the root overtook before it was sent is never judged.
    assert 0 < pair.num_rejected_tokens <= slips.num_made == len(DISTANCES)
    assert got.same == (await plain(fleet, root, asked)).same


@SAMPLINGS
async def test_a_drafter_that_restarts_is_taken_back_and_never_wrong(fleet: Fleet, sampling: dict):
    gate = Gate(20)
    root = await fleet.model("root", tier_class=tampered(gate.hold), tokens_ahead=8)
    twin = await fleet.model("twin", tokens_ahead=8)
    asked = ask(max_new_tokens=80, ignore_eos=True, **sampling)
    running = asyncio.create_task(answer(fleet, root, root.plan(twin.plan()), asked))
    await gate.reached.wait()
    [link] = root.tier.decoders[0]._links
    await eventually(lambda: link.is_open)
    await twin.stop()
    await eventually(lambda: not link.is_open)
    await twin.start()
    await eventually(lambda: link.is_open)
    gate.opened.set()
    got = await running
    assert got.lost[0].path == ("root", "twin")
    assert "twin" in got.sources[40:], "the drafter was not taken back"
    assert never_wrong(got, "twin")
    assert got.same == (await plain(fleet, root, asked)).same


@SAMPLINGS
async def test_a_drafter_is_never_wrong_after_a_re_plan(fleet: Fleet, sampling: dict):
    gate = Gate(20)
    root = await fleet.model("root", tier_class=tampered(gate.hold), tokens_ahead=8)
    middle, leaf = await twins(fleet, "middle", "leaf", tokens_ahead=8)
    asked = ask(max_new_tokens=80, ignore_eos=True, **sampling)

    async def replan(session, got: Answer) -> None:
        if len(got.token_ids) >= 20 and not gate.opened.is_set():
            session.replan(root.plan(middle.plan(leaf.plan(), num_speculative_tokens=7), version=1))
            await eventually(lambda: leaf.num_sessions == 1)
            gate.opened.set()

    got = await answer(fleet, root, root.plan(middle.plan()), asked, watch=replan)
    assert "leaf" in got.sources[20:]
    assert never_wrong(got, "middle", "leaf")
    assert got.same == (await plain(fleet, root, asked)).same


@pytest.mark.parametrize("tamper", [wrong_seed, offset_off_by_one])
async def test_a_drafter_that_draws_otherwise_is_found_out(fleet: Fleet, tamper):
    root = await fleet.model("root")
    twin = await fleet.model("twin", tier_class=tampered(tamper))
    asked = ask(max_new_tokens=80, ignore_eos=True, **HOT)
    got = await answer(fleet, root, root.plan(twin.plan()), asked)
    assert got.pair("twin").num_rejected_tokens > 5
    assert got.same == (await plain(fleet, root, asked)).same


@SAMPLINGS
@AHEAD
async def test_a_drafter_that_keeps_what_was_cut_is_found_out(
    fleet: Fleet, sampling: dict, tokens_ahead: int
):
    slips = Slips(DISTANCES)

    def tamper(session):
        cache_not_rolled_back(session)
        slips.tamper(session)

    root = await fleet.model("root", tokens_ahead=tokens_ahead)
    twin = await fleet.model("twin", tier_class=tampered(tamper), tokens_ahead=tokens_ahead)
    asked = ask(max_new_tokens=120, ignore_eos=True, **sampling)
    got = await answer(fleet, root, root.plan(twin.plan()), asked)
    assert got.pair("twin").num_rejected_tokens > slips.num_made
    assert got.same == (await plain(fleet, root, asked)).same


async def test_a_middle_tier_that_keeps_what_it_rejected_is_found_out(fleet: Fleet):
    root = await fleet.model("root")
    middle = await fleet.model("middle", tier_class=tampered(cache_not_rolled_back))
    wrong = await fleet.model("wrong", tier_class=tampered(wrong_seed))
    asked = ask(max_new_tokens=80, ignore_eos=True, **HOT)
    got = await answer(fleet, root, root.plan(middle.plan(wrong.plan())), asked)
    assert got.pair("middle").num_rejected_tokens > 0
    assert got.same == (await plain(fleet, root, asked)).same


async def test_a_root_that_keeps_what_it_rejected_gives_another_answer(fleet: Fleet):
    """The comparison itself can fail."""
    root = await fleet.model("root", tier_class=tampered(cache_not_rolled_back))
    wrong = await fleet.model("wrong", tier_class=tampered(wrong_seed))
    asked = ask(max_new_tokens=80, ignore_eos=True, **HOT)
    got = await answer(fleet, root, root.plan(wrong.plan()), asked)
    assert got.token_ids != (await plain(fleet, root, asked)).token_ids
