"""What a replica says about itself, to protobuf and back."""

from dataclasses import asdict, replace
from typing import Any

from google.protobuf.message import Message

from tiercel.descriptions import DrafterRecord, Residency, Speed, TierDescription
from tiercel.v1 import tier_pb2

_RESIDENCIES: dict[Residency, tier_pb2.Residency.ValueType] = {
    Residency.UNSPECIFIED: tier_pb2.RESIDENCY_UNSPECIFIED,
    Residency.RESIDENT: tier_pb2.RESIDENCY_RESIDENT,
    Residency.LOADING: tier_pb2.RESIDENCY_LOADING,
    Residency.AWAY: tier_pb2.RESIDENCY_AWAY,
    Residency.LEAVING: tier_pb2.RESIDENCY_LEAVING,
}
_BY_VALUE: dict[int, Residency] = {value: one for one, value in _RESIDENCIES.items()}
_NOT_PLAIN = ("speed", "drafters", "residency")


def description_to_pb(description: TierDescription) -> tier_pb2.DescribeResponse:
    """Return the message for what a replica is."""
    plain = {name: value for name, value in asdict(description).items() if name not in _NOT_PLAIN}
    return tier_pb2.DescribeResponse(
        **plain,
        speed=tier_pb2.Speed(**asdict(description.speed)),
        drafters=[tier_pb2.DrafterRecord(**asdict(one)) for one in description.drafters],
        residency=_RESIDENCIES[description.residency],
    )


def description_from_pb(message: tier_pb2.DescribeResponse) -> TierDescription:
    """Return what a replica says about itself; a state that is not known here is unspecified."""
    values = _values(message)
    plain = TierDescription(
        **{name: value for name, value in values.items() if name not in _NOT_PLAIN}
    )
    return replace(
        plain,
        speed=Speed(**_values(message.speed)),
        drafters=tuple(DrafterRecord(**_values(one)) for one in message.drafters),
        residency=residency_from_pb(message.residency),
    )


def residency_to_pb(residency: Residency) -> tier_pb2.SetResidentResponse:
    """Return the message for the state of a model."""
    return tier_pb2.SetResidentResponse(residency=_RESIDENCIES[residency])


def residency_from_pb(value: int) -> Residency:
    """Return the state of a model; one that is not known here is unspecified."""
    return _BY_VALUE.get(value, Residency.UNSPECIFIED)


def _values(message: Message) -> dict[str, Any]:
    return {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}
