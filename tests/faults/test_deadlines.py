"""Every answer ends once, before its caller's deadline, whatever holds it up."""

import asyncio

import pytest

from tests.faults import rogues
from tests.faults.answers import PROMPT, answer, asked, expected
from tests.faults.in_process import verifier
from tests.faults.services import HEARTBEAT_S, idle_at
from tiercel import rpc
from tiercel.clients.verifier import open_session
from tiercel.rpc import deadlines
from tiercel.sessions import Ask, SessionEnd
from tiercel.types import FinishReason, Plan, SamplingParams, StopConditions
from tiercel.v1 import decoding_pb2, verifier_pb2
from tiercel.v1 import drafter_pb2 as pb
from tiercel.v1.drafter_pb2_grpc import DrafterStub
from tiercel.v1.verifier_pb2_grpc import VerifierStub
from tiercel.wire.plans import plan_to_pb

SLOW = "m?base_s=0.02"


@pytest.fixture(autouse=True)
def margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer to send the end than a server usually leaves itself."""
    monkeypatch.setattr(deadlines, "_MARGIN_S", 1.5)


async def test_the_end_arrives_before_the_deadline():
    async with verifier("root", SLOW) as root:
        reading = await answer(root, Plan("root"), max_new_tokens=5000, timeout_s=2.5)
        assert reading.end.reason is FinishReason.DEADLINE
        assert reading.token_ids == expected(len(reading.token_ids))
        assert reading.token_ids
        await idle_at(root)


async def test_the_end_arrives_before_the_deadline_while_a_drafter_hangs():
    async with (
        rogues.rogue(rogues.silent) as (_, drafter),
        verifier("root", SLOW, always_draft=True) as root,
    ):
        plan = Plan("root", drafters=(Plan(rogues.TIER, drafter),))
        reading = await answer(root, plan, max_new_tokens=5000, timeout_s=2.5)
        assert reading.end.reason is FinishReason.DEADLINE
        await idle_at(root)


async def test_the_end_arrives_before_the_deadline_in_a_long_prefill():
    """The prompt of 6000 tokens takes 24 passes of at least 2.5 s."""
    stop = StopConditions(max_new_tokens=4)
    ask = Ask("long", "a" * 6000, SamplingParams(), stop)
    async with (
        verifier("root", "m?per_token_s=0.01") as root,
        rpc.channel(root) as channel,
        open_session(channel, ask, Plan("root"), timeout_s=2.5, heartbeat_s=HEARTBEAT_S) as session,
    ):
        *_, end = [event async for event in session.events()]
        assert isinstance(end, SessionEnd)
        assert (end.reason, end.usage.num_completion_tokens) == (FinishReason.DEADLINE, 0)
        session.finish()
        await idle_at(root)


async def test_a_call_without_a_deadline_gets_the_longest_one():
    async with verifier("root", SLOW, max_request_s=2.5) as root:
        reading = await answer(root, Plan("root"), max_new_tokens=5000, timeout_s=None)
        assert reading.end.reason is FinishReason.DEADLINE
        await idle_at(root)


@pytest.mark.parametrize("method", ["Generate", "Verify"])
async def test_a_caller_that_only_beats_is_not_served_for_ever(method):
    async with verifier("root", max_request_s=2.5) as root, rpc.channel(root) as channel:
        request = {
            "Generate": verifier_pb2.VerifierGenerateRequest,
            "Verify": verifier_pb2.VerifyRequest,
        }[method]
        opening = verifier_pb2.GenerateOpen(
            plan=plan_to_pb(Plan("root")), prompt=decoding_pb2.Prompt(text=PROMPT)
        )
        call = getattr(VerifierStub(channel), method)(beating(request, request(open=opening)))
        kinds = [message.WhichOneof("message") async for message in rpc.replies(call)]
        assert kinds.count("finished") == 1
        assert kinds[-1] == "finished"
        await idle_at(root)


async def test_a_parent_that_only_beats_is_not_served_for_ever():
    async with verifier("draft", max_request_s=2.5) as drafter, rpc.channel(drafter) as channel:
        async with asked(drafter, Plan("draft")) as reading:
            await reading.until(lambda: reading.opened is not None)
        opening = pb.DraftOpen(
            plan=plan_to_pb(Plan("draft")),
            prefix=reading_prefix(reading),
            num_prompt_tokens=len(reading.opened.prompt.token_ids),
            max_new_tokens=8,
            max_tokens_ahead=4,
        )
        requests = beating(pb.DraftRequest, pb.DraftRequest(open=opening))
        call = DrafterStub(channel).Draft(requests)
        with pytest.raises(Exception, match="time given") as failure:
            [message async for message in rpc.replies(call)]
        assert failure.value.code().name == "DEADLINE_EXCEEDED"
        await idle_at(drafter)


def reading_prefix(reading) -> decoding_pb2.TokenIds:
    prompt = reading.opened.prompt
    return decoding_pb2.TokenIds(
        token_ids=prompt.token_ids, tokenizer_fingerprint=prompt.tokenizer_fingerprint
    )


async def beating(request, first):
    """Send the first message and heartbeats for ever after."""
    yield first
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        yield request(heartbeat=decoding_pb2.Heartbeat(sequence=1))
