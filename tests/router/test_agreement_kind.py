"""The kind of request goes down with it: what was measured of drafters is by kind."""

from tiercel.types import Plan
from tiercel.v1 import decoding_pb2, router_pb2
from tiercel.wire.router import ask_from_pb
from tiercel.wire.sessions import open_from_pb, open_to_pb


def test_a_tier_is_told_the_kind_of_request():
    prompt = decoding_pb2.Prompt(text="Why?")
    stop = decoding_pb2.StopConditions(max_new_tokens=4)
    request = router_pb2.GenerateRequest(prompt=prompt, stop=stop, kind="maths")
    asked = ask_from_pb(request, draw_seed=lambda: 1)
    assert asked.kind == "maths"
    got, _, _ = open_from_pb(open_to_pb(asked, Plan("target"), ()), eos_ids=frozenset())
    assert got == asked
