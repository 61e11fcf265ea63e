"""Events as JSON, as files keep them, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from tiercel.errors import InvalidRequest
from tiercel.learning import Event
from tiercel.v1 import feedback_pb2
from tiercel.wire.feedback import events_from_pb, report_to_pb


def report_to_json(events: Sequence[Event]) -> dict[str, Any]:
    """Return the fields of the message that reports events."""
    return MessageToDict(report_to_pb(events), preserving_proto_field_name=True)


def names_from_json(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return of what sort each event is, and its id; raises InvalidRequest if it is no report."""
    message = _message(fields)
    sorts = {
        "outcome": [one.event_id for one in message.outcomes],
        "draft score": [one.event_id for one in message.draft_scores],
        "audit": [one.event_id for one in message.audits],
    }
    return [(sort, name) for sort, names in sorts.items() for name in names]


def events_from_json(fields: Mapping[str, Any]) -> list[Event]:
    """Return the events; raises InvalidRequest if it is no report, or one is not sound."""
    return events_from_pb(_message(fields))


def _message(fields: Mapping[str, Any]) -> feedback_pb2.ReportRequest:
    try:
        return ParseDict(dict(fields), feedback_pb2.ReportRequest(), ignore_unknown_fields=True)
    except ParseError as error:
        raise InvalidRequest("report", "", f"cannot be read: {error}") from None
