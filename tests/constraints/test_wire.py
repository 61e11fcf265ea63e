"""A constraint reaches every tier of a chain as it was asked for."""

import pytest

from tiercel.clients.router import Request, _generate_to_pb
from tiercel.errors import InvalidRequest
from tiercel.types import Constraint, ConstraintForm, Plan, SamplingParams
from tiercel.v1 import decoding_pb2, router_pb2
from tiercel.wire.constraints import constraint_from_pb
from tiercel.wire.draft import DraftOpening, opening_from_pb, opening_to_pb
from tiercel.wire.requests import TokenIds
from tiercel.wire.router import ask_from_pb
from tiercel.wire.sessions import open_from_pb, open_to_pb


@pytest.mark.parametrize("form", ConstraintForm)
def test_from_the_caller_to_the_lowest_drafter(form: ConstraintForm):
    constraint = Constraint(form, "a text")
    ask = ask_from_pb(_generate_to_pb(Request("Hello", constraint=constraint)), draw_seed=int)
    plan = Plan("target")
    again, _, _ = open_from_pb(open_to_pb(ask, plan, ()), eos_ids=frozenset())
    opening = DraftOpening(
        request_id="",
        plan=plan,
        prefix=TokenIds((1,), ""),
        num_prompt_tokens=1,
        params=SamplingParams(),
        stop_token_ids=frozenset(),
        max_new_tokens=1,
        max_tokens_ahead=1,
        constraint=again.constraint,
    )
    assert opening_from_pb(opening_to_pb(opening)).constraint == constraint


def test_without_one_there_is_none():
    ask = ask_from_pb(_generate_to_pb(Request("Hello")), draw_seed=int)
    assert ask.constraint is None
    message = open_to_pb(ask, Plan("target"), ())
    assert not message.HasField("constraint")


@pytest.mark.parametrize(
    ("constraint", "why"),
    [
        (decoding_pb2.Constraint(), "constraint=None: must be a json_schema, regex or"),
        (decoding_pb2.Constraint(regex="é" * 32_769), "constraint.regex=65538: at most 65536"),
    ],
)
def test_what_is_none_or_too_long_is_refused(constraint: decoding_pb2.Constraint, why: str):
    with pytest.raises(InvalidRequest) as refused:
        constraint_from_pb(router_pb2.GenerateRequest(constraint=constraint))
    assert why in str(refused.value)
