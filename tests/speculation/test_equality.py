"""The answer is the root's own, to the last bit, whatever drafts for it: on the tiny model."""

from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.speculation.answers import HOT, answer, ask, eventually, plain
from tests.speculation.fleet import Fleet, Replica, Weights
from tests.tiny_model import CONTEXT
from tiercel.plan_rules import LOCAL
from tiercel.types import FinishReason, Message, Plan
from tiercel.wire.requests import TokenIds

samplings = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {
            "temperature": st.sampled_from([0.3, 0.8, 1.5]),
            "top_k": st.sampled_from([0, 1, 5, 50]),
            "top_p": st.sampled_from([1.0, 0.9, 0.3]),
            "seed": st.integers(0, 2**64 - 1),
        }
    ),
)
prompts = st.one_of(
    st.text(min_size=1, max_size=40),
    st.lists(
        st.builds(Message, st.sampled_from(["user", "assistant"]), st.text(max_size=20)),
        min_size=1,
        max_size=3,
    ).map(tuple),
)
knobs = st.fixed_dictionaries(
    {
        "num_speculative_tokens": st.integers(1, 16),
        "draft_confidence": st.sampled_from([0.0, 0.05, 0.5]),
    }
)


class Tiers:
    """A root and everything that may draft for it."""

    def __init__(self, root: Replica, good: Replica, poor: Replica, suffix: Replica) -> None:
        self.root, self.good, self.poor, self.suffix = root, good, poor, suffix

    def plan(self, shape: str, above: dict, below: dict) -> Plan:
        good, poor, suffix = self.good.plan, self.poor.plan, self.suffix.plan
        local = partial(Plan, "look-up", LOCAL)
        drafters = {
            "two levels": (good(**above),),
            "two levels, poor": (poor(**above),),
            "suffix": (suffix(**above),),
            "three levels": (good(suffix(**below), **above),),
            "four levels": (good(poor(suffix(**below), **below), **above),),
            "two drafters": (good(**above), suffix(**below)),
            "local": (local(**above),),
            "three levels, local": (good(local(**below), **above),),
            "two drafters, local": (good(**above), local(**below)),
            "a tree": (good(poor(**below), suffix(**below), **above), suffix(**below)),
        }[shape]
        return self.root.plan(*drafters)


SHAPES = [
    "two levels",
    "two levels, poor",
    "suffix",
    "three levels",
    "four levels",
    "two drafters",
    "local",
    "three levels, local",
    "two drafters, local",
    "a tree",
]


@pytest.fixture(params=[("fp32", 0), ("int4", 8)], ids=["fp32", "int4, ahead"])
async def tiers(fleet: Fleet, request: pytest.FixtureRequest) -> Tiers:
    dtype, tokens_ahead = request.param
    ahead = {"tokens_ahead": tokens_ahead}
    return Tiers(
        await fleet.model("root", Weights(dtype), **ahead),
        await fleet.model("good", Weights("int8"), **ahead),
        await fleet.model("poor", Weights(noise=0.05), **ahead),
        await fleet.suffix(min_confidence=0.01),
    )


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    prompt=prompts,
    sampling=samplings,
    shape=st.sampled_from(SHAPES),
    above=knobs,
    below=knobs,
    max_new_tokens=st.integers(1, 40),
)
async def test_no_drafter_changes_the_answer(
    fleet: Fleet, tiers: Tiers, prompt, sampling, shape, above, below, max_new_tokens
):
    asked = ask(prompt, max_new_tokens=max_new_tokens, ignore_eos=True, **sampling)
    got = await answer(fleet, tiers.root, tiers.plan(shape, above, below), asked)
    assert not got.lost
    assert got.same == (await plain(fleet, tiers.root, asked)).same


@pytest.mark.parametrize("shape", [one for one in SHAPES if one not in ("suffix", "local")])
@pytest.mark.parametrize("sampling", [{}, HOT], ids=["greedy", "sampled"])
async def test_every_chain_drafts(fleet: Fleet, tiers: Tiers, shape: str, sampling: dict):
    """What the test above compares is decoded with drafts, and some of them are wrong."""
    asked = ask("abcabcabc " * 4, max_new_tokens=120, ignore_eos=True, **sampling)
    got = await answer(fleet, tiers.root, tiers.plan(shape, {}, {}), asked)
    assert got.same == (await plain(fleet, tiers.root, asked)).same
    drafts = [pair for pair in got.end.usage.pairs if pair.verifier == "root"]
    # Which of two drafters is the first to say something differs from run to run.
    assert sum(pair.num_accepted_tokens + pair.num_rejected_tokens for pair in drafts) > 10
    assert sum(pair.num_rejected_tokens for pair in drafts) > 0


async def test_a_suffix_index_drafts_what_was_answered_before(fleet: Fleet, tiers: Tiers):
    asked = ask(max_new_tokens=60, ignore_eos=True)
    plan = tiers.plan("suffix", {}, {})
    first = await answer(fleet, tiers.root, plan, asked)
    await eventually(lambda: tiers.suffix.num_sessions == 0)  # it keeps the answer now
    second = await answer(fleet, tiers.root, plan, asked)
    assert second.pair("suffix").num_accepted_tokens > 20
    assert first.same == second.same == (await plain(fleet, tiers.root, asked)).same


@pytest.mark.parametrize("num_characters", [255, 256, 257, 300])
async def test_a_long_prompt_goes_through_in_chunks(
    fleet: Fleet, tiers: Tiers, num_characters: int
):
    asked = ask("x" * num_characters, max_new_tokens=30, ignore_eos=True, **HOT)
    got = await answer(fleet, tiers.root, tiers.plan("four levels", {}, {}), asked)
    assert got.same == (await plain(fleet, tiers.root, asked)).same
    # The same tokens as a session that was given some of them: another cut of the same prefix.
    committed = got.token_ids[:9]
    resumed = await plain(fleet, tiers.root, asked, committed=committed)
    assert [*committed, *resumed.token_ids] == got.token_ids
    assert resumed.logprobs == got.logprobs[9:]


@pytest.mark.parametrize("num_prompt_tokens", [CONTEXT - 9, CONTEXT - 3, CONTEXT - 1])
async def test_a_full_context_ends_the_answer(fleet: Fleet, tiers: Tiers, num_prompt_tokens: int):
    asked = ask(ids(tiers.root, num_prompt_tokens), max_new_tokens=100, ignore_eos=True)
    expected = await plain(fleet, tiers.root, asked)
    assert len(expected.token_ids) == CONTEXT - num_prompt_tokens
    assert expected.end.reason is FinishReason.LENGTH
    for shape in SHAPES:
        got = await answer(fleet, tiers.root, tiers.plan(shape, {}, {}), asked)
        assert got.same == expected.same


async def test_a_drafter_of_a_shorter_context_only_stops_drafting(fleet: Fleet):
    root = await fleet.model("root")
    short = await fleet.model("short", Weights(max_length=60))
    asked = ask(ids(root, 40), max_new_tokens=60, ignore_eos=True)
    got = await answer(fleet, root, root.plan(short.plan()), asked)
    assert not got.lost
    assert "short" in got.sources[:20] and "short" not in got.sources[20:]
    assert got.same == (await plain(fleet, root, asked)).same


async def test_a_prompt_that_fills_a_drafter_is_answered_without_it(fleet: Fleet):
    root = await fleet.model("root")
    short = await fleet.model("short", Weights(max_length=30))
    asked = ask(ids(root, 40), max_new_tokens=20, ignore_eos=True)
    got = await answer(fleet, root, root.plan(short.plan()), asked)
    assert [lost.path for lost in got.lost] == [("root", "short")]
    assert "holds 30 tokens" in got.lost[0].reason
    assert got.same == (await plain(fleet, root, asked)).same


def ids(replica: Replica, count: int) -> TokenIds:
    tokens = tuple(3 + 7 * index % 250 for index in range(count))
    return TokenIds(tokens, replica.tier.tokenizer.fingerprint)
