"""Streams to a tier message by message, for what the clients would never say."""

import asyncio

import pytest

from tests.speculation.answers import ask, eventually, plain
from tests.speculation.fleet import HEARTBEAT_S, Fleet, Replica
from tiercel.errors import InvalidRequest, PlanRefused, TiercelError, TokenizerMismatch
from tiercel.rpc import Inbox, replies, translated
from tiercel.v1 import decoding_pb2, drafter_pb2
from tiercel.v1 import verifier_pb2 as pb
from tiercel.v1.drafter_pb2_grpc import DrafterStub
from tiercel.v1.verifier_pb2_grpc import VerifierStub
from tiercel.wire.plans import plan_to_pb
from tiercel.wire.sessions import open_to_pb

# What a caller is told that said something wrong.
REFUSALS = (InvalidRequest, PlanRefused, TokenizerMismatch)


async def told(call) -> TiercelError:
    """Return the error that a call ends with."""
    with (
        pytest.raises(TiercelError) as raised,
        translated(),
        Inbox(replies(call), interval_s=HEARTBEAT_S) as inbox,
    ):
        while await inbox.get() is not None:
            pass
    return raised.value


async def unhurt(fleet: Fleet, root: Replica) -> None:
    """The server lives on, and the bad stream holds nothing."""
    await eventually(lambda: root.num_sessions == 0)
    assert len((await plain(fleet, root, ask(max_new_tokens=3, ignore_eos=True))).token_ids) == 3


async def requests(*messages):
    for message in messages:
        yield message
    await asyncio.Event().wait()


def generate_open(root: Replica) -> pb.GenerateOpen:
    return open_to_pb(ask(), root.plan(), ())


def draft_open(root: Replica, **fields) -> drafter_pb2.DraftOpen:
    defaults = {
        "plan": plan_to_pb(root.plan(num_speculative_tokens=4)),
        "prefix": decoding_pb2.TokenIds(
            token_ids=[70, 71, 72], tokenizer_fingerprint=root.tier.tokenizer.fingerprint
        ),
        "num_prompt_tokens": 3,
        "max_new_tokens": 100,
        "max_tokens_ahead": 4,
    }
    return drafter_pb2.DraftOpen(**defaults | fields)


def generate(fleet: Fleet, root: Replica, *messages):
    return VerifierStub(fleet.channel(root)).Generate(requests(*messages), timeout=150.0)


def draft(fleet: Fleet, root: Replica, *messages):
    return DrafterStub(fleet.channel(root)).Draft(requests(*messages), timeout=150.0)
