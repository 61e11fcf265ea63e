"""An answer ends where plain decoding ends it, wherever in a block that falls."""

import pytest

from tests.speculation.answers import HOT, Answer, answer, ask, plain
from tests.speculation.fleet import Fleet, Replica
from tiercel.types import FinishReason

pytestmark = pytest.mark.usefixtures("every_block_apart")

BLOCK = 4
LENGTH = 40


class Pair:
    """A root with a drafter that is never wrong: full blocks, so that a stop falls anywhere."""

    def __init__(self, fleet: Fleet, root: Replica, twin: Replica, sampling: dict) -> None:
        self.fleet, self.root, self.twin, self.sampling = fleet, root, twin, sampling
        self.offsets: set[int] = set()  # at which the last token stood in the last block

    def bytes_of(self, token_ids: list[int]) -> bytes:
        tokenizer = self.root.tier.tokenizer
        shown = [token_id for token_id in token_ids if not tokenizer.is_special(token_id)]
        return b"".join(tokenizer.token_bytes(token_id) for token_id in shown)

    async def unstopped(self) -> Answer:
        asked = ask(max_new_tokens=LENGTH, ignore_eos=True, **self.sampling)
        return await plain(self.fleet, self.root, asked)

    async def stopped(self, **stop) -> Answer:
        """Return the answer, the same alone and with drafts."""
        asked = ask(**{"max_new_tokens": LENGTH, "ignore_eos": True} | stop | self.sampling)
        plan = self.root.plan(self.twin.plan(num_speculative_tokens=BLOCK))
        got = await answer(self.fleet, self.root, plan, asked)
        assert got.same == (await plain(self.fleet, self.root, asked)).same
        blocks = [commit for commit in got.commits if commit.token_ids]
        self.offsets.add(len(blocks[-1].token_ids) - 1)
        return got


@pytest.fixture(params=[{}, HOT], ids=["greedy", "sampled"])
async def pair(fleet: Fleet, request: pytest.FixtureRequest) -> Pair:
    root, twin = await fleet.model("root"), await fleet.model("twin")
    return Pair(fleet, root, twin, request.param)


def text_of(data: bytes) -> str:
    return data.decode(errors="replace")


async def test_a_token_limit_at_every_place_of_a_block(pair: Pair):
    whole = await pair.unstopped()
    for limit in range(1, LENGTH + 1):
        got = await pair.stopped(max_new_tokens=limit)
        assert got.end.reason is FinishReason.LENGTH
        assert got.token_ids == whole.token_ids[:limit]
        assert got.text == text_of(pair.bytes_of(got.token_ids))
        assert got.end.usage.num_completion_tokens == limit
    assert pair.offsets == set(range(BLOCK + 1))


async def test_a_stop_id_at_every_place_of_a_block(pair: Pair):
    whole = await pair.unstopped()
    for token_id in set(whole.token_ids):
        first = whole.token_ids.index(token_id)
        got = await pair.stopped(stop_ids=[token_id])
        assert got.end.reason is FinishReason.STOP_TOKEN
        assert got.token_ids == whole.token_ids[: first + 1]
        assert got.text == text_of(pair.bytes_of(got.token_ids[:-1]))
        assert got.end.usage.num_completion_tokens == first + 1
    assert pair.offsets == set(range(BLOCK + 1))


async def test_a_stop_string_at_every_place_of_blocks(pair: Pair):
    """Strings of 12 characters reach over two blocks and more."""
    whole = await pair.unstopped()
    for num_characters in (1, 5, 12):
        for start in range(len(whole.text) - num_characters):
            string = whole.text[start : start + num_characters]
            got = await pair.stopped(stop_strings=[string, "never said"])
            assert got.end.reason is FinishReason.STOP_STRING
            assert got.end.stop_string == string
            assert got.text == whole.text[: whole.text.index(string)]
            assert got.token_ids == whole.token_ids[: len(got.token_ids)]
            if string.isascii():
                # The answer ends with the token that completes the string, no sooner or later.
                assert string in text_of(pair.bytes_of(got.token_ids))
                assert string not in text_of(pair.bytes_of(got.token_ids[:-1]))
    assert pair.offsets == set(range(BLOCK + 1))


async def test_a_stop_string_that_only_the_end_completes(pair: Pair):
    """A character cut short becomes U+FFFD at the end, and that can be a stop string."""
    num_cut_short = 0
    for seed in range(20):
        pair.sampling = {"temperature": 1.3, "seed": seed}
        whole = await pair.unstopped()
        for limit in range(1, LENGTH):
            shown = text_of(pair.bytes_of(whole.token_ids[:limit]))
            if shown.count("\ufffd") != 1 or "".join(whole.text_by_token[:limit]) == shown:
                continue
            num_cut_short += 1
            got = await pair.stopped(max_new_tokens=limit, stop_strings=["\ufffd"])
            assert got.end.reason is FinishReason.STOP_STRING
            assert got.text == shown.split("\ufffd")[0]
            break
    assert num_cut_short > 3


async def test_text_that_may_begin_a_stop_string_is_held_back_and_then_sent(pair: Pair):
    whole = await pair.unstopped()
    for start in range(len(whole.text) - 3):
        string = whole.text[start : start + 3] + "\x00"
        assert string not in whole.text
        got = await pair.stopped(stop_strings=[string])
        assert (got.text, got.end.reason) == (whole.text, FinishReason.LENGTH)


async def test_the_models_own_end_token_ends_the_answer(pair: Pair):
    num_ended = 0
    for seed in range(24):
        pair.sampling = {"temperature": 1.3, "seed": seed}
        got = await pair.stopped(ignore_eos=False, max_new_tokens=80)
        if got.end.reason is FinishReason.LENGTH:
            continue
        num_ended += 1
        assert got.token_ids[-1] in pair.root.tier.tokenizer.eos_ids
        assert not pair.root.tier.tokenizer.eos_ids & set(got.token_ids[:-1])
    assert num_ended > 5


async def test_characters_of_many_bytes_come_whole(pair: Pair):
    """Each byte is a token of its own; what was committed before may end inside a character."""
    token_ids = pair.root.tier.tokenizer.encode("héllo wörld, 日本語 🦅🦉 end")
    for cut in range(1, len(token_ids)):
        known, asked = token_ids[:cut], ask(max_new_tokens=cut + 6, ignore_eos=True)
        plan = pair.root.plan(pair.twin.plan(num_speculative_tokens=BLOCK))
        got = await answer(pair.fleet, pair.root, plan, asked, committed=known)
        alone = await plain(pair.fleet, pair.root, asked, committed=known)
        assert got.same == alone.same
        whole = pair.bytes_of([*known, *got.token_ids])
        assert certain(pair.bytes_of(known)) + got.text == text_of(whole)


def certain(data: bytes) -> str:
    """Return the text of `data` without an unfinished character at its end."""
    for num_bytes in range(len(data), -1, -1):
        try:
            return data[:num_bytes].decode()
        except UnicodeDecodeError:
            continue
    return ""
