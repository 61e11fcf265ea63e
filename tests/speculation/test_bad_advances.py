"""A parent that says nonsense on a draft stream is told so; one that lost the thread is helped."""

import pytest

from tests.speculation.answers import HOT, ask, plain
from tests.speculation.fleet import HEARTBEAT_S, Fleet, Replica
from tests.speculation.outside_drafter import hash_of
from tests.speculation.raw_streams import REFUSALS, draft, draft_open, told, unhurt
from tiercel.rpc import Inbox, replies
from tiercel.types import Plan
from tiercel.v1 import decoding_pb2, drafter_pb2
from tiercel.wire.plans import plan_to_pb


@pytest.fixture
async def root(fleet: Fleet) -> Replica:
    return await fleet.model("root")


def advance(tokens: list[int], **fields) -> drafter_pb2.DraftRequest:
    """Return the truth after the opening's three tokens."""
    defaults = {
        "epoch": 1,
        "keep_length": 3,
        "token_ids": tokens,
        "prefix_hash": hash_of([70, 71, 72, *tokens]),
        "max_tokens_ahead": 4,
        "num_speculative_tokens": 4,
    }
    return drafter_pb2.DraftRequest(advance=drafter_pb2.Advance(**defaults | fields))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (advance([269]), "advance.token_ids=269"),
        (advance([70], num_speculative_tokens=65), "advance.num_speculative_tokens=65"),
        (advance([], keep_length=0, prefix_hash=hash_of([])), "advance.keep_length=0: cuts"),
        (advance([70], keep_length=1, prefix_hash=hash_of([70, 70])), "advance.keep_length=1"),
        (
            advance([70, 71, 99, 70], keep_length=0, prefix_hash=hash_of([70, 71, 99, 70])),
            "advance.keep_length=0: cuts the prompt",
        ),
        (drafter_pb2.DraftRequest(replan=decoding_pb2.Plan(tier="other", version=1)), "other"),
        (
            drafter_pb2.DraftRequest(
                replan=decoding_pb2.Plan(tier="root", version=1, draft_confidence=-1.0)
            ),
            "draft_confidence=-1.0",
        ),
        (
            drafter_pb2.DraftRequest(
                replan=plan_to_pb(Plan("root", version=1, drafters=(Plan("a", "example.com:1"),)))
            ),
            "'example.com:1' of tier 'a' is not allowed",
        ),
        (drafter_pb2.DraftRequest(replan=decoding_pb2.Plan(tier="root")), "does not follow"),
        (drafter_pb2.DraftRequest(), "must be advance, replan or finish"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_parent_that_says_nonsense(
    fleet: Fleet, root: Replica, bad: drafter_pb2.DraftRequest, why: str
):
    opening = drafter_pb2.DraftRequest(open=draft_open(root))
    error = await told(draft(fleet, root, opening, bad))
    assert isinstance(error, REFUSALS) and why in str(error)
    await unhurt(fleet, root)


@pytest.mark.parametrize(
    "stale",
    [
        advance([70], keep_length=2**32 - 1),
        advance([70], keep_length=50),
        advance([70], prefix_hash=1),
        advance([70], prefix_hash=2**64 - 1),
    ],
    ids=["the longest gap", "a gap", "another prefix", "a large hash"],
)
async def test_a_parent_that_lost_the_thread_gets_a_resync_and_goes_on(
    fleet: Fleet, root: Replica, stale: drafter_pb2.DraftRequest
):
    """The parent restates everything, prompt included."""
    asked = ask("fgh", max_new_tokens=40, ignore_eos=True, **HOT)
    whole = await plain(fleet, root, asked)
    prompt = list(whole.opened.prompt.token_ids)
    truth = [*prompt, *whole.token_ids[:9]]
    opening = draft_open(root, num_prompt_tokens=len(prompt))
    opening.prefix.token_ids[:] = prompt
    opening.sampling.temperature, opening.sampling.seed = HOT["temperature"], HOT["seed"]
    restated = advance([], keep_length=0, epoch=7, prefix_hash=hash_of(truth))
    restated.advance.token_ids[:] = truth
    messages = [drafter_pb2.DraftRequest(open=opening), stale, restated]
    resyncs, drafted = 0, []
    with Inbox(replies(draft(fleet, root, *messages)), interval_s=HEARTBEAT_S) as inbox:
        while not drafted:
            message = await inbox.get()
            resyncs += message.WhichOneof("message") == "resync"
            if message.WhichOneof("message") == "block" and message.block.epoch == 7:
                drafted = list(message.block.token_ids)
    assert resyncs == 1
    assert drafted == whole.token_ids[9:13]
