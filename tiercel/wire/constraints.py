"""What an answer has to match, to protobuf and back."""

from tiercel.errors import InvalidRequest
from tiercel.types import Constraint, ConstraintForm
from tiercel.v1 import decoding_pb2, drafter_pb2, router_pb2, verifier_pb2

MAX_CONSTRAINT_BYTES = 65_536


def constraint_to_pb(constraint: Constraint | None) -> decoding_pb2.Constraint | None:
    """Return the message for a constraint, None for none."""
    if constraint is None:
        return None
    message = decoding_pb2.Constraint()
    setattr(message, constraint.form.value, constraint.text)
    return message


def constraint_from_pb(
    message: verifier_pb2.GenerateOpen | router_pb2.GenerateRequest | drafter_pb2.DraftOpen,
) -> Constraint | None:
    """Return the constraint in an opening, None for none.

    Raises InvalidRequest for one without a form or too long; the grammar itself is checked where
    the tokenizer is known.
    """
    if not message.HasField("constraint"):
        return None
    form = message.constraint.WhichOneof("form")
    if form is None:
        raise InvalidRequest("constraint", None, "must be a json_schema, regex or lark_grammar")
    text = getattr(message.constraint, form)
    size = len(text.encode())
    if size > MAX_CONSTRAINT_BYTES:
        raise InvalidRequest(f"constraint.{form}", size, f"at most {MAX_CONSTRAINT_BYTES} bytes")
    return Constraint(ConstraintForm(form), text)
