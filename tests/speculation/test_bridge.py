"""A parent and a drafter with different tokenizers, over sockets: the bridge is never seen."""

import asyncio
import json

import pytest

from services.verifier.servicer import VerifierServicer
from tests.speculation.answers import HOT, answer, ask, plain
from tests.speculation.fleet import HEARTBEAT_S, Fleet, Replica, Weights
from tests.speculation.reciter import Reciter
from tiercel.clients.tier import tokenizer_files
from tiercel.errors import InvalidRequest, Unsupported
from tiercel.speculation.bridged_sequence import BridgedSequence
from tiercel.speculation.model_tier import Habits, ModelTier
from tiercel.speculation.runner import ModelRunner
from tiercel.tokenizer import Tokenizer
from tiercel.types import Message
from tiercel.wire import tokenizers

BYTES, REVERSED = Weights(tokenizer="bytes"), Weights(tokenizer="bytes, reversed")
OTHER = Weights(tokenizer="other, reversed")
CHAT = (Message("user", "Hello there, the king of the hill is in the inn."),)
SAMPLINGS = pytest.mark.parametrize("sampling", [{}, HOT], ids=["greedy", "sampled"])


@pytest.fixture
async def root(fleet: Fleet) -> Replica:
    return await fleet.model("root")


@SAMPLINGS
@pytest.mark.parametrize("prompt", ["the thing on the hill", CHAT], ids=["text", "chat"])
async def test_a_drafter_with_another_tokenizer_changes_nothing(
    fleet: Fleet, root: Replica, prompt, sampling: dict
):
    drafter = await fleet.model("foreign", OTHER, tokens_ahead=8)
    asked = ask(prompt, max_new_tokens=100, ignore_eos=True, **sampling)
    for _ in range(2):  # the second time a bridge is built at once
        got = await answer(fleet, root, root.plan(drafter.plan()), asked)
        assert not got.lost
        assert got.same == (await plain(fleet, root, asked)).same
        assert got.pair("foreign").num_drafts > 10


@SAMPLINGS
@pytest.mark.parametrize("prompt", ["the thing on the hill", CHAT], ids=["text", "chat"])
async def test_the_target_itself_under_other_ids_is_always_accepted(
    fleet: Fleet, prompt, sampling: dict
):
    """Both have one token for each byte, so whatever is said has one spelling in both."""
    root = await fleet.model("root", BYTES, tokens_ahead=8)
    twin = await fleet.model("twin", REVERSED, tokens_ahead=8)
    below = await fleet.model("below", BYTES, tokens_ahead=8)
    asked = ask(prompt, max_new_tokens=100, ignore_eos=True, **sampling)
    expected = (await plain(fleet, root, asked)).same
    for plan in (root.plan(twin.plan()), root.plan(twin.plan(below.plan()))):
        got = await answer(fleet, root, plan, asked)
        assert got.same == expected
        assert got.pair("twin").num_accepted_tokens > 40
        assert {pair.acceptance_rate for pair in got.end.usage.pairs} == {1.0}


async def test_noise_of_another_seed_is_seen(fleet: Fleet, monkeypatch: pytest.MonkeyPatch):
    """What the test above shows is that the drafter counts the same bytes: here it does not."""
    root = await fleet.model("root", BYTES)
    twin = await fleet.model("twin", REVERSED)
    shift = BridgedSequence.__init__

    def shifted(self, ends, request, sequence) -> None:
        shift(self, ends, request, sequence)
        self.request = self.request.__class__(
            **vars(self.request) | {"num_prompt_tokens": self.request.num_prompt_tokens - 1}
        )

    monkeypatch.setattr(BridgedSequence, "__init__", shifted)
    asked = ask("the thing", max_new_tokens=100, ignore_eos=True, **HOT)
    got = await answer(fleet, root, root.plan(twin.plan()), asked)
    assert got.same == (await plain(fleet, root, asked)).same
    assert got.pair("twin").acceptance_rate < 0.9


@SAMPLINGS
async def test_a_drafter_that_says_the_same_text_is_accepted(
    fleet: Fleet, root: Replica, sampling: dict
):
    asked = ask(CHAT, max_new_tokens=100, ignore_eos=True, **sampling)
    expected = await plain(fleet, root, asked)
    text = b"".join(map(root.tier.tokenizer.token_bytes, expected.token_ids))
    drafter = await reciter(fleet, "reciter", text)
    got = await answer(fleet, root, root.plan(drafter.plan()), asked)
    assert got.same == expected.same
    assert got.pair("reciter").num_accepted_tokens > 40
    assert got.pair("reciter").acceptance_rate > 0.8
    assert got.sources.count("reciter") > 40


async def test_a_bridge_below_a_bridge(fleet: Fleet, root: Replica):
    middle = await fleet.model("middle", OTHER)
    below = await fleet.model("below", Weights(noise=0.05))
    asked = ask(CHAT, max_new_tokens=80, ignore_eos=True, **HOT)
    got = await answer(fleet, root, root.plan(middle.plan(below.plan())), asked)
    assert got.same == (await plain(fleet, root, asked)).same
    assert got.pair("middle").num_drafts > 5
    assert got.pair("below").num_drafts > 0


async def test_a_drafter_that_comes_back_is_bridged_again(fleet: Fleet, root: Replica):
    drafter = await fleet.model("foreign", OTHER)
    asked = ask(CHAT, max_new_tokens=200, ignore_eos=True)
    restarted: list[int] = []

    def watch(session, got):
        if not restarted and len(got.token_ids) > 40:
            restarted.append(len(got.token_ids))
            return restart()
        return None

    async def restart() -> None:
        await drafter.stop()
        await drafter.start()

    got = await answer(fleet, root, root.plan(drafter.plan()), asked, watch=watch)
    assert restarted
    assert got.same == (await plain(fleet, root, asked)).same
    again = await answer(fleet, root, root.plan(drafter.plan()), asked)
    assert again.pair("foreign").num_drafts > 10
    assert again.same == got.same


async def test_a_tokenizer_is_fetched_once_for_all(
    fleet: Fleet, root: Replica, monkeypatch: pytest.MonkeyPatch
):
    fetched: list[str] = []
    files = Tokenizer.files

    def counted(self: Tokenizer) -> dict[str, bytes]:
        fetched.append(self.fingerprint)
        return files(self)

    monkeypatch.setattr(Tokenizer, "files", counted)
    drafter = await fleet.model("foreign", OTHER)
    asked = ask(CHAT, max_new_tokens=30, ignore_eos=True)
    plan = root.plan(drafter.plan())
    answers = await asyncio.gather(*(answer(fleet, root, plan, asked) for _ in range(3)))
    assert len({str(got.same) for got in answers}) == 1
    assert fetched == [drafter.tier.tokenizer.fingerprint]


def no_json(files: dict[str, bytes]) -> dict[str, bytes]:
    return files | {"tokenizer.json": b"{"}


def other_merges(files: dict[str, bytes]) -> dict[str, bytes]:
    content = json.loads(files["tokenizer.json"])
    content["model"]["merges"].pop()
    return files | {"tokenizer.json": json.dumps(content).encode()}


def too_much(files: dict[str, bytes]) -> dict[str, bytes]:
    return files | {"more.json": bytes(100_000)}


@pytest.mark.parametrize(
    ("lie", "reason"),
    [(no_json, "cannot be read"), (other_merges, "handed out is"), (too_much, "is over")],
)
async def test_a_tokenizer_that_is_not_what_its_tier_says_is_refused(
    fleet: Fleet, root: Replica, monkeypatch: pytest.MonkeyPatch, lie, reason: str
):
    files = Tokenizer.files
    monkeypatch.setattr(Tokenizer, "files", lambda self: lie(files(self)))
    monkeypatch.setattr(tokenizers, "MAX_BYTES", 100_000)
    drafter = await fleet.model("foreign", OTHER)
    asked = ask(CHAT, max_new_tokens=40, ignore_eos=True)
    got = await answer(fleet, root, root.plan(drafter.plan()), asked)
    assert [lost.path for lost in got.lost] == [("root", "foreign")]
    assert "foreign has another tokenizer" in got.lost[0].reason and reason in got.lost[0].reason
    assert not got.lost[0].unreachable
    assert got.same == (await plain(fleet, root, asked)).same


async def test_a_tokenizer_travels_in_pieces(fleet: Fleet, root: Replica, monkeypatch):
    monkeypatch.setattr(tokenizers, "PIECE_BYTES", 1000)
    files = await tokenizer_files(fleet.channel(root), timeout_s=150)
    assert Tokenizer.from_files(files).fingerprint == root.tier.tokenizer.fingerprint
    monkeypatch.setattr(tokenizers, "MAX_BYTES", 2000)
    with pytest.raises(InvalidRequest, match="over 2000 bytes"):
        await tokenizer_files(fleet.channel(root), timeout_s=150)


async def test_a_tier_without_a_tokenizer_says_so(fleet: Fleet):
    suffix = await fleet.suffix()
    with pytest.raises(Unsupported, match="suffix"):
        await tokenizer_files(fleet.channel(suffix), timeout_s=150)


async def reciter(fleet: Fleet, name: str, text: bytes) -> Replica:
    """Start a tier whose model says `text` after every prompt that ends as a chat's does."""
    _, tokenizer = fleet._models.load(name, OTHER)
    prompt = tokenizer.render(CHAT)

    def build() -> tuple[ModelTier, VerifierServicer]:
        runner = ModelRunner(Reciter(tokenizer, len(prompt), text))
        habits = Habits(always_draft=True, heartbeat_s=HEARTBEAT_S)
        tier = ModelTier(name, runner, tokenizer, habits)
        return tier, VerifierServicer(tier, max_request_s=150.0)

    return await fleet.start(name, build)
