"""A look-up drafter in its parent's own process: the same answers, and its guesses are counted."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from prometheus_client import REGISTRY

from tests.engines.ngram_tables import saved
from tests.speculation.answers import HOT, answer, ask, eventually, plain
from tests.speculation.fleet import Fleet
from tests.speculation.test_ahead import PROMPT, Bench, bench  # noqa: F401 - a fixture
from tiercel.engines.guesses import Guess
from tiercel.engines.ngram import NgramTable
from tiercel.plan_rules import LOCAL
from tiercel.speculation.job import Ahead
from tiercel.speculation.link import NO_DRAFT, Draft
from tiercel.speculation.lookup import Basis, LookupSession
from tiercel.types import Plan

AGAIN = "abcabcabc " * 4


def looked_up(name: str, **fields) -> Plan:
    return Plan(name, LOCAL, **fields)


def guessed(tier: str, source: str, fate: str) -> float:
    labels = {"tier": tier, "source": source, "fate": fate}
    return REGISTRY.get_sample_value("tiercel_guessed_tokens_total", labels) or 0.0


@pytest.mark.parametrize("sampling", [{}, HOT], ids=["greedy", "sampled"])
@pytest.mark.parametrize("always", [True, False], ids=["always", "while it pays"])
async def test_sessions_side_by_side_get_their_own_answers(
    fleet: Fleet, sampling: dict, always: bool
) -> None:
    root = await fleet.model("root", always_draft=always)
    asks = [
        ask(AGAIN + str(number) * number, max_new_tokens=60, ignore_eos=True, **sampling)
        for number in range(6)
    ]
    plan = root.plan(looked_up("side", num_speculative_tokens=8))
    got = await asyncio.gather(*(answer(fleet, root, plan, asked) for asked in asks))
    for asked, one in zip(asks, got, strict=True):
        assert one.same == (await plain(fleet, root, asked)).same
        assert not one.lost


async def test_what_it_drafted_is_told_and_counted(fleet: Fleet) -> None:
    root = await fleet.model("root")
    asked = ask(AGAIN, max_new_tokens=100, ignore_eos=True)
    # The second time there is something to look up.
    for _ in range(2):
        await eventually(lambda: root.num_sessions == 0)
        before = guessed("told", "suffix", "accepted")
        got = await answer(fleet, root, root.plan(looked_up("told")), asked)
    await eventually(lambda: root.num_sessions == 0)
    pair, sources = got.pair("told"), got.sources
    assert pair.num_accepted_tokens == sources.count("told") > 10
    assert got.tier("told").compute_s > 0
    assert got.tier("root").num_forward_passes == len(sources) - pair.num_accepted_tokens
    (record,) = root.tier.describe().drafters
    assert 0 < record.start_rate < 1, "at first there was nothing to look up"
    assert record.num_accepted_tokens > 10
    # The last guesses are not counted: nothing came after them.
    assert guessed("told", "suffix", "accepted") - before > pair.num_accepted_tokens - 5


async def test_a_middle_tier_has_its_own(fleet: Fleet) -> None:
    root, middle = await fleet.model("root"), await fleet.model("middle", tokens_ahead=8)
    asked = ask(AGAIN, max_new_tokens=100, ignore_eos=True)
    for _ in range(2):
        await eventually(lambda: middle.num_sessions == 0)
        got = await answer(fleet, root, root.plan(middle.plan(looked_up("low"))), asked)
    assert got.same == (await plain(fleet, root, asked)).same
    # The root's own model drafts for it, whatever is looked up below: it is never wrong.
    assert got.pair("middle").num_rejected_tokens == 0
    assert got.pair("low").num_accepted_tokens > 0


async def test_it_comes_and_goes_with_the_plan(fleet: Fleet) -> None:
    root, suffix = await fleet.model("root"), await fleet.suffix(min_confidence=0.01)
    plans = [
        root.plan(looked_up("come")),
        root.plan(suffix.plan(), version=1),
        root.plan(looked_up("come", num_speculative_tokens=2), suffix.plan(), version=2),
        root.plan(version=3),
        root.plan(looked_up("come"), version=4),
    ]
    waiting = plans[1:]

    def watch(session, got) -> None:
        if waiting and len(got.token_ids) >= 20 * (len(plans) - len(waiting)):
            session.replan(waiting.pop(0))

    asked = ask(AGAIN, max_new_tokens=120, ignore_eos=True)
    got = await answer(fleet, root, plans[0], asked, watch=watch)
    assert got.same == (await plain(fleet, root, asked)).same


async def test_outputs_of_earlier_sessions_are_drafted_from(fleet: Fleet) -> None:
    root = await fleet.model("root")
    asked = ask("quite another prompt", max_new_tokens=60, ignore_eos=True)
    plan = root.plan(looked_up("pool"))
    first = await answer(fleet, root, plan, asked)
    await eventually(lambda: root.num_sessions == 0)  # its output is there now
    second = await answer(fleet, root, plan, asked)
    assert first.same == second.same
    assert second.pair("pool").num_accepted_tokens > 20


async def test_a_table_is_used_and_a_wrong_one_is_soon_left_alone(fleet: Fleet, tmp_path) -> None:
    prompt = ask("What about bees?", max_new_tokens=120, ignore_eos=True)
    reference = await fleet.model("reference")
    truth = (await plain(fleet, reference, prompt)).token_ids
    fingerprint = reference.tier.tokenizer.fingerprint

    async def pair_of(name: str, texts: Sequence[Sequence[int]]):
        options = {"vocab_size": 269, "fingerprint": fingerprint}
        path = saved(tmp_path / name, texts, **options)
        root = await fleet.model(name, basis=Basis(0.2, 0, table=NgramTable(path)))
        got = await answer(fleet, root, root.plan(looked_up(f"{name} table")), prompt)
        assert got.token_ids == truth
        return got.pair(f"{name} table")

    right = await pair_of("right", [truth] * 3)
    assert right.num_accepted_tokens > 80
    # Each token of the answer is said to be followed by the one before it.
    pairs = {one: before for before, one in pairwise(truth)}
    wrong = await pair_of("wrong", [[one, before] for one, before in pairs.items()] * 3)
    assert wrong.num_rejected_tokens > 3
    assert wrong.num_draft_tokens < 60


class Sure:
    """A source that is sure of a token."""

    name = "sure"

    def __init__(self, token: int) -> None:
        self._token = token

    def append(self, tokens: Sequence[int]) -> None:
        pass

    def truncate(self, length: int) -> None:
        pass

    def guess(self) -> Guess:
        return Guess(self._token, 0.99)


def drafted(session: LookupSession, truth: Sequence[int]) -> list[int]:
    """Return how many tokens were drafted at each step along `truth`."""
    counts = []
    for length, token in enumerate(truth):
        session.follow(length, [token])
        counts.append(len(session.propose(8, 0.15).tokens))
    return counts


def test_a_source_that_is_always_wrong_is_not_drafted_from_and_one_that_is_right_again_is() -> None:
    session = LookupSession("unit", [Sure(7)])
    wrong = drafted(session, [1] * 60)
    assert wrong[0] == 8
    assert sum(wrong) < 60 and wrong[-10:] == [0] * 10
    # Guesses that are not drafted are judged all the same.
    right = []
    for _ in range(80):
        start = len(session.committed(0))
        session.follow(start, [7])
        right.append(len(session.propose(8, 0.15).tokens))
    assert right[-1] >= 2


async def test_the_model_goes_ahead_with_drafts_right_and_wrong(bench: Bench) -> None:  # noqa: F811
    plainly = await bench.plainly(PROMPT, 80)

    def draft(position: int, token_ids: Sequence[int], most: int) -> Draft:
        start = position + len(token_ids) - len(PROMPT)
        said = plainly[start : start + min(most, 4)]
        if start % 3 == 1 and len(said) > 1:
            said = [*said[:1], said[1] + 1, *said[2:]]
        return Draft(tuple(said), ("anyone",) * len(said))

    session, told, num_passes = bench.open(), [], 0
    while len(told) < 60:
        left = 60 - len(told)
        verified = await session.verify(NO_DRAFT, None, Ahead(left - 1, frozenset(), draft))
        told += verified.token_ids
        num_passes += 1
    assert told == plainly[:60]
    assert 12 <= num_passes < 40
    assert session.sequence.tokens() == [*PROMPT, *told]
    await bench.idle()
    assert bench.num_passes(session) == num_passes, "it went further than it may"


async def test_a_stop_token_among_accepted_ones_ends_the_run(bench: Bench) -> None:  # noqa: F811
    plainly = await bench.plainly(PROMPT, 20)
    stop = frozenset(plainly[4:5])

    def draft(position: int, token_ids: Sequence[int], most: int) -> Draft:
        start = position + len(token_ids) - len(PROMPT)
        return Draft(tuple(plainly[start : start + 3]))

    session, told = bench.open(), []
    while len(told) < 5:
        told += (await session.verify(NO_DRAFT, None, Ahead(100, stop, draft))).token_ids
    await bench.idle()
    assert told == plainly[: len(told)]
    assert bench.num_passes(session) == 2 + (plainly.index(plainly[4]) != 4)
