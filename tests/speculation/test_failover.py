"""A session that begins after committed tokens goes on exactly as if it had never been cut."""

import pytest

from tests.speculation.answers import HOT, Answer, answer, ask, plain
from tests.speculation.fleet import Fleet, Replica
from tests.tiny_model import CONTEXT
from tiercel.sessions import Ask
from tiercel.types import FinishReason
from tiercel.wire.requests import TokenIds

LENGTH = 30
SEEDS = [{}, HOT, {"temperature": 1.2, "top_p": 0.9, "seed": 3}]


class Pair:
    """Two replicas of a root, and a drafter of theirs."""

    def __init__(self, fleet: Fleet, one: Replica, other: Replica, drafter: Replica) -> None:
        self.fleet, self.one, self.other, self.drafter = fleet, one, other, drafter

    async def whole(self, asked: Ask) -> Answer:
        return await plain(self.fleet, self.one, asked)

    async def resumed_everywhere(self, asked: Ask) -> None:
        """Cut the answer after every token, and go on at the other replica."""
        whole = await self.whole(asked)
        pieces = whole.text_by_token
        for cut in range(len(whole.token_ids) + 1):
            prompt = whole.opened.prompt  # as ids: nothing is tokenized again
            again = ask_with(asked, prompt)
            plan = self.other.plan(self.drafter.plan())
            got = await answer(self.fleet, self.other, plan, again, committed=whole.token_ids[:cut])
            assert got.token_ids == whole.token_ids[cut:]
            assert got.text_by_token == pieces[cut:]
            assert got.logprobs == whole.logprobs[cut:]
            assert got.end.reason is whole.end.reason
            assert got.end.stop_string == whole.end.stop_string
            usage, expected = got.end.usage, whole.end.usage
            assert usage.num_prompt_tokens == expected.num_prompt_tokens
            assert usage.num_completion_tokens == expected.num_completion_tokens


def ask_with(asked: Ask, prompt: TokenIds) -> Ask:
    return Ask(
        asked.request_id,
        prompt,
        asked.sampling,
        asked.stop,
        asked.ignore_eos,
        asked.logprobs,
        asked.num_top_logprobs,
    )


@pytest.fixture
async def pair(fleet: Fleet) -> Pair:
    names = ("one", "other", "drafter")
    return Pair(fleet, *[await fleet.model(name) for name in names])


@pytest.mark.parametrize("sampling", SEEDS, ids=str)
async def test_an_answer_resumed_after_any_token(pair: Pair, sampling: dict):
    await pair.resumed_everywhere(ask(max_new_tokens=LENGTH, ignore_eos=True, **sampling))


@pytest.mark.parametrize("num_characters", [1, 4, 8])
@pytest.mark.parametrize("sampling", SEEDS, ids=str)
async def test_an_answer_cut_in_the_middle_of_a_stop_string(
    pair: Pair, sampling: dict, num_characters: int
):
    asked = ask(max_new_tokens=LENGTH, ignore_eos=True, **sampling)
    text = (await pair.whole(asked)).text
    string = text[12 : 12 + num_characters]
    asked = ask(max_new_tokens=LENGTH, ignore_eos=True, stop_strings=[string], **sampling)
    assert (await pair.whole(asked)).end.reason is FinishReason.STOP_STRING
    await pair.resumed_everywhere(asked)


async def test_an_answer_that_ends_by_itself(pair: Pair):
    for seed in range(30):
        asked = ask(max_new_tokens=60, temperature=1.3, seed=seed)
        whole = await pair.whole(asked)
        if whole.end.reason is FinishReason.STOP_TOKEN and len(whole.token_ids) > 8:
            return await pair.resumed_everywhere(asked)
    raise AssertionError("no answer ended by itself")


async def test_an_answer_that_fills_the_context(pair: Pair):
    fingerprint = pair.one.tier.tokenizer.fingerprint
    prompt = TokenIds(tuple(range(3, 253)) * 2, fingerprint)
    asked = ask(prompt, max_new_tokens=100, ignore_eos=True)
    assert len((await pair.whole(asked)).token_ids) == CONTEXT - 500
    await pair.resumed_everywhere(asked)


async def test_a_session_moved_again_and_again(pair: Pair):
    """Each replica commits a few tokens and is lost."""
    asked = ask(max_new_tokens=LENGTH, ignore_eos=True, **HOT)
    whole = await pair.whole(asked)
    committed: list[int] = []
    text = ""
    for turn in range(LENGTH // 5):
        root = (pair.one, pair.other)[turn % 2]
        plan = root.plan(pair.drafter.plan())
        got = await answer(pair.fleet, root, plan, asked, committed=committed)
        text += "".join(got.text_by_token[:5])
        committed += got.token_ids[:5]
    assert committed == whole.token_ids
    assert text == "".join(whole.text_by_token[:LENGTH])


async def test_more_committed_tokens_than_the_limit_end_at_once(pair: Pair):
    asked = ask(max_new_tokens=5, ignore_eos=True)
    got = await plain(pair.fleet, pair.one, asked, committed=[70] * 9)
    assert got.token_ids == []
    assert got.end.reason is FinishReason.LENGTH
