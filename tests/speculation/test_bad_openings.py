"""Nonsense in any field is told by its name, ends its own stream, and nothing else."""

from collections.abc import Callable

import grpc
import pytest
from google.protobuf.message import Message as ProtobufMessage

from tests.speculation.answers import ask, plain
from tests.speculation.fleet import Fleet, Replica
from tests.speculation.raw_streams import (
    REFUSALS,
    draft,
    draft_open,
    generate,
    generate_open,
    requests,
    told,
    unhurt,
)
from tests.tiny_model import CONTEXT
from tiercel.errors import InvalidRequest
from tiercel.types import FinishReason
from tiercel.v1 import decoding_pb2, drafter_pb2
from tiercel.v1 import verifier_pb2 as pb
from tiercel.v1.drafter_pb2_grpc import DrafterStub
from tiercel.v1.verifier_pb2_grpc import VerifierStub
from tiercel.wire.plans import plan_to_pb

NAN, INFINITE = float("nan"), float("inf")
BAD_ID, HUGE = 269, 2**32 - 1
Change = Callable[[ProtobufMessage], None]


def put(path: str, value: object) -> Change:
    """Return what sets the field at a dotted path; a list replaces a repeated field."""

    def change(message: ProtobufMessage) -> None:
        *parents, last = path.split(".")
        for name in parents:
            message = getattr(message, name)
        if isinstance(value, list):
            message.ClearField(last)
            getattr(message, last).extend(value)
        elif isinstance(value, ProtobufMessage):
            getattr(message, last).CopyFrom(value)
        else:
            setattr(message, last, value)

    return change


def drafter(**fields) -> list[decoding_pb2.Plan]:
    return [decoding_pb2.Plan(tier="a", address="localhost:1", **fields)]


def turns(*roles: str) -> decoding_pb2.Conversation:
    messages = [decoding_pb2.Message(role=role, content="hello") for role in roles]
    return decoding_pb2.Conversation(messages=messages)


SAMPLING = [
    (put("sampling.temperature", NAN), "temperature=nan"),
    (put("sampling.temperature", INFINITE), "temperature=inf"),
    (put("sampling.temperature", -0.5), "temperature=-0.5"),
    (put("sampling.temperature", 1e9), "temperature=1000000000.0"),
    (put("sampling.top_p", NAN), "top_p=nan"),
    (put("sampling.top_p", 0.0), "top_p=0.0"),
    (put("sampling.top_p", -1.0), "top_p=-1.0"),
    (put("sampling.top_p", 1.01), "top_p=1.01"),
]
PLAN = [
    (put("plan.tier", "other"), "plan.tier='other'"),
    (put("plan.tier", ""), "plan.tier=''"),
    (put("plan.acceptance.rule", 99), "acceptance.rule=99: unknown rule"),
    (put("plan.acceptance.strictness", NAN), "acceptance.strictness=nan"),
    (put("plan.acceptance.strictness", 2.0), "acceptance.strictness=2.0"),
    (put("plan.acceptance.strictness", 0.5), "EXACT has strictness 1"),
    (put("plan.num_speculative_tokens", 65), "num_speculative_tokens=65"),
    (put("plan.draft_confidence", NAN), "draft_confidence=nan"),
    (put("plan.draft_confidence", 1.5), "draft_confidence=1.5"),
    (put("plan.drafters", drafter(num_speculative_tokens=HUGE)), "num_speculative_tokens"),
    (put("plan.drafters", drafter(draft_confidence=-INFINITE)), "draft_confidence=-inf"),
    (put("plan.drafters", drafter(drafters=drafter())), "'a' stands twice"),
    (put("plan.drafters", [decoding_pb2.Plan(tier="a")]), "'a' has no address"),
]
GENERATE = [
    (lambda opening: opening.ClearField("prompt"), "prompt=''"),
    (put("prompt.text", ""), "prompt=''"),
    (put("prompt.conversation", decoding_pb2.Conversation()), "prompt=''"),
    (put("prompt.conversation", turns("user", "")), "messages[1].role=''"),
    (put("prompt.conversation", turns("alien")), "unknown role alien"),
    (put("prompt.ids", decoding_pb2.TokenIds()), "prompt=''"),
    (put("prompt.ids", decoding_pb2.TokenIds(token_ids=[3])), "has tokenizer"),
    (put("prompt.text", "x" * CONTEXT), f"prompt={CONTEXT}: root holds {CONTEXT} tokens"),
    (put("committed_token_ids", [70, BAD_ID]), "committed_token_ids=269"),
    (put("committed_token_ids", [70] * CONTEXT), "committed_token_ids="),
    (put("stop.max_new_tokens", 0), "stop.max_new_tokens=0"),
    (put("stop.strings", ["a", ""]), "stop.strings[1]=''"),
    (put("stop.strings", ["a"] * 65), "stop.strings=65"),
    (put("stop.strings", ["a" * 1024, "b" * 1025]), "stop.strings[1]=1025"),
    (put("stop.token_ids", [70, HUGE]), f"stop.token_ids={HUGE}"),
    (put("num_top_logprobs", 21), "num_top_logprobs=21"),
    (put("num_top_logprobs", HUGE), f"num_top_logprobs={HUGE}"),
]
DRAFT = [
    (put("prefix.token_ids", []), "open.num_prompt_tokens=3"),
    (put("prefix.token_ids", [70, 71, BAD_ID]), "open.prefix.token_ids=269"),
    (put("prefix.token_ids", [70] * CONTEXT), f"open.prefix.token_ids={CONTEXT}"),
    (put("prefix.tokenizer_fingerprint", "other"), "has tokenizer"),
    (put("num_prompt_tokens", 0), "open.num_prompt_tokens=0"),
    (put("num_prompt_tokens", HUGE), f"open.num_prompt_tokens={HUGE}"),
    (put("stop_token_ids", [BAD_ID]), "open.stop_token_ids=269"),
    (put("messages", [decoding_pb2.Message(content="x")]), "messages[0].role=''"),
]


def texts(cases: list[tuple[Change, str]]):
    return pytest.mark.parametrize(("change", "why"), cases, ids=[why for _, why in cases])


@pytest.fixture
async def root(fleet: Fleet) -> Replica:
    return await fleet.model("root")


@texts(SAMPLING + PLAN + GENERATE)
async def test_a_bad_opening_of_generate_and_verify(
    fleet: Fleet, root: Replica, change: Change, why: str
):
    opening = generate_open(root)
    change(opening)
    error = await told(generate(fleet, root, pb.VerifierGenerateRequest(open=opening)))
    assert isinstance(error, REFUSALS) and why in str(error)
    call = VerifierStub(fleet.channel(root)).Verify(
        requests(pb.VerifyRequest(open=opening)), timeout=150.0
    )
    again = await told(call)
    assert type(again) is type(error) and str(again) == str(error)
    await unhurt(fleet, root)


@texts(SAMPLING + PLAN + DRAFT)
async def test_a_bad_opening_of_a_draft_stream(
    fleet: Fleet, root: Replica, change: Change, why: str
):
    opening = draft_open(root)
    change(opening)
    error = await told(draft(fleet, root, drafter_pb2.DraftRequest(open=opening)))
    assert isinstance(error, REFUSALS) and why in str(error)
    await unhurt(fleet, root)


@pytest.mark.parametrize("kind", ["heartbeat", "finish", "replan", "nothing"])
async def test_the_first_message_must_open(fleet: Fleet, root: Replica, kind: str):
    made = {
        "heartbeat": {"heartbeat": decoding_pb2.Heartbeat(sequence=1)},
        "replan": {"replan": plan_to_pb(root.plan())},
        "nothing": {},
    }
    finishes = {"generate": pb.GenerateFinish(), "draft": drafter_pb2.DraftFinish()}
    for call, request, method in (
        ("generate", pb.VerifierGenerateRequest, generate),
        ("draft", drafter_pb2.DraftRequest, draft),
    ):
        fields = made.get(kind, {"finish": finishes[call]})
        error = await told(method(fleet, root, request(**fields)))
        assert isinstance(error, InvalidRequest) and error.field == "message"
        assert "the first message must be open" in str(error)
    await unhurt(fleet, root)


async def test_a_second_opening_is_refused(fleet: Fleet, root: Replica):
    opening = generate_open(root)
    opening.stop.max_new_tokens, opening.stop.ignore_eos = 400, True
    message = pb.VerifierGenerateRequest(open=opening)
    error = await told(generate(fleet, root, message, message))
    assert isinstance(error, InvalidRequest) and "must be replan or finish here" in str(error)
    message = drafter_pb2.DraftRequest(open=draft_open(root))
    error = await told(draft(fleet, root, message, message))
    assert isinstance(error, InvalidRequest) and "must be advance" in str(error)
    await unhurt(fleet, root)


async def test_a_caller_that_says_nothing_and_leaves(fleet: Fleet, root: Replica):
    for stub in (
        VerifierStub(fleet.channel(root)).Generate,
        DrafterStub(fleet.channel(root)).Draft,
    ):
        call = stub(timeout=150.0)
        await call.done_writing()
        error = await told(call)
        assert isinstance(error, InvalidRequest)
    await unhurt(fleet, root)


async def test_large_numbers_that_mean_something_are_taken(fleet: Fleet, root: Replica):
    """Limits beyond the context end there; all of the vocabulary may be the top."""
    asked = ask(
        max_new_tokens=10**9, ignore_eos=True, top_k=HUGE, temperature=100.0, seed=2**64 - 1
    )
    got = await plain(fleet, root, asked)
    assert got.end.reason is FinishReason.LENGTH
    assert len(got.token_ids) == CONTEXT - got.end.usage.num_prompt_tokens


async def test_a_stream_that_is_no_protobuf_is_refused(fleet: Fleet, root: Replica):
    path = "/tiercel.v1.Verifier/Generate"
    call = fleet.channel(root).stream_stream(path)(requests(b"\xff\xff\xff"), timeout=150.0)
    with pytest.raises(grpc.aio.AioRpcError):
        async for _ in call:
            pass
    await unhurt(fleet, root)
