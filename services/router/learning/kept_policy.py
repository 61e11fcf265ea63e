"""The learned policy that was heard last, in a file: a router that starts alone goes on with it."""

import os
from pathlib import Path

import structlog

from tiercel.errors import InvalidRequest
from tiercel.learning import LearnedPolicy
from tiercel.wire.learned import policy_from_bytes, policy_to_bytes

log = structlog.get_logger(__name__)


def read_policy(path: Path) -> LearnedPolicy | None:
    """Return the policy of a file, None if there is none that can be read."""
    try:
        return policy_from_bytes(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, InvalidRequest) as error:
        log.warning("the kept policy cannot be read", file=str(path), problem=str(error))
        return None


def write_policy(path: Path, policy: LearnedPolicy) -> None:
    """Put the policy in the place of the one in the file; a file that cannot be had is no error."""
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(policy_to_bytes(policy))
        os.replace(partial, path)
    except OSError as error:
        log.warning("the policy cannot be kept", file=str(path), problem=str(error))
