"""The one table between domain errors and gRPC status, read in both directions."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from tiercel import errors

DOMAIN = "tiercel"
# A status travels in trailers, of which gRPC takes 8 KB for sure; its text is in there twice, once
# with three bytes for each that is not ASCII.
_MAX_TEXT_BYTES = 1024

CODES: dict[type[errors.TiercelError], grpc.StatusCode] = {
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.PlanRefused: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.ModelUnavailable: grpc.StatusCode.FAILED_PRECONDITION,
    errors.TokenizerMismatch: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ModelFault: grpc.StatusCode.INTERNAL,
    errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Unsupported: grpc.StatusCode.UNIMPLEMENTED,
    errors.Unidentified: grpc.StatusCode.UNAUTHENTICATED,
}
_BY_NAME = {cls.__name__: cls for cls in CODES}
# What a status means when the peer attached no reason: it came from gRPC itself or a stranger.
_BY_CODE = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.PlanRefused,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.CANCELLED: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Overloaded,
    grpc.StatusCode.UNIMPLEMENTED: errors.Unsupported,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unidentified,
}


def status_from_error(error: errors.TiercelError) -> grpc.Status:
    """Return the status that carries `error`: code, text, reason, perhaps a retry delay.

    Long texts are cut.
    """
    code = CODES.get(type(error), grpc.StatusCode.INTERNAL)
    attributes = {name: _cut(str(value)) for name, value in vars(error).items()}
    info = error_details_pb2.ErrorInfo(
        reason=type(error).__name__, domain=DOMAIN, metadata=attributes
    )
    details = [_packed(info)]
    if isinstance(error, errors.Overloaded):
        delay = Duration(nanos=0)
        delay.FromMilliseconds(round(error.retry_after_s * 1000))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    number = code_pb2.Code.Value(code.name)
    message = _cut(str(error))
    return rpc_status.to_status(status_pb2.Status(code=number, message=message, details=details))


def error_from_rpc(failure: grpc.aio.AioRpcError) -> errors.TiercelError:
    """Return the domain error that a failed call stands for."""
    status = rpc_status.from_call(failure)  # type: ignore[arg-type]
    message = failure.details() or failure.code().name
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == DOMAIN and info.reason in _BY_NAME:
            return _rebuilt(_BY_NAME[info.reason], message, dict(info.metadata))
    cls = _BY_CODE.get(failure.code(), errors.TiercelError)
    return _rebuilt(cls, message, {})


@contextmanager
def translated() -> Iterator[None]:
    """Raise the domain error in place of the gRPC error that the body raises."""
    try:
        yield
    except grpc.aio.AioRpcError as failure:
        raise error_from_rpc(failure) from failure


def _rebuilt(
    cls: type[errors.TiercelError], message: str, attributes: dict[str, str]
) -> errors.TiercelError:
    error = cls.__new__(cls, message)
    vars(error).update(attributes)
    if isinstance(error, errors.Overloaded):
        error.retry_after_s = float(attributes.get("retry_after_s", 1.0))
    return error


def _cut(text: str) -> str:
    encoded = text.encode(errors="replace")
    if len(encoded) <= _MAX_TEXT_BYTES:
        return text
    return encoded[: _MAX_TEXT_BYTES - 3].decode(errors="ignore") + "..."


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
