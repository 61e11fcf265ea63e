"""Settings of a service: flags, then the environment, then defaults. The one reader of both."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from tiercel.errors import InvalidRequest

_LAST_PORT = 65_535
# Names the settings that were written for this very process, which must be known to it: others in
# the environment may be meant for another service.
_GIVEN = "TIERCEL_GIVEN"


class Settings(BaseSettings):
    """What every service can be told; each field is a flag and TIERCEL_<FIELD>."""

    model_config = SettingsConfigDict(
        env_prefix="TIERCEL_",
        cli_kebab_case=True,
        cli_avoid_json=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        extra="ignore",
        frozen=True,
    )

    address: str = Field(default="localhost:0", description="host:port to listen on")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least important log lines to write"
    )
    log_json: bool = Field(default=False, description="write logs as JSON lines")
    metrics_address: str = Field(
        default="", description="host:port for Prometheus to scrape; empty for none"
    )
    reflection: bool = Field(default=False, description="serve gRPC reflection")
    grace_s: float = Field(
        default=30.0, ge=0, description="on SIGTERM, seconds that open streams get to finish"
    )

    @field_validator("address", "metrics_address")
    @classmethod
    def _has_a_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if value and not (host and port.isdecimal() and int(port) <= _LAST_PORT):
            raise ValueError(f"must be host:port with a port up to {_LAST_PORT}")
        return value


S = TypeVar("S", bound=Settings)


def load(cls: type[S], arguments: list[str] | None = None) -> S:
    """Read settings from `arguments` (default: the command line) and the environment.

    A bad one ends the process with one line for each, as status 2.
    """
    _check_given(cls)
    try:
        return cls(_cli_parse_args=sys.argv[1:] if arguments is None else arguments)  # type: ignore[call-arg]
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            print(f"TIERCEL_{name}={problem['input']!r}: {problem['msg']}", file=sys.stderr)
    except SettingsError as error:
        print(error, file=sys.stderr)
    raise SystemExit(2)


def _check_given(cls: type[Settings]) -> None:
    """End the process if it was given a setting that its service does not have."""
    given = os.environ.get(_GIVEN, "").split()
    unknown = [name for name in given if name not in cls.model_fields]
    for name in unknown:
        value = os.environ.get(f"TIERCEL_{name.upper()}", "")
        print(f"TIERCEL_{name.upper()}={value!r}: there is no such setting", file=sys.stderr)
    if unknown:
        raise SystemExit(2)


def given(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process with `settings`, all of which it must know to start."""
    names = [name.removeprefix("TIERCEL_").lower() for name in settings]
    return {**settings, _GIVEN: " ".join(names)}


def inherited(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a process to start: this process's own, with `settings` on top."""
    return {**os.environ, **settings}


def read_secret(field: str, file: Path) -> str:
    """Return what a mounted file holds, blanks around it aside.

    Raises InvalidRequest, by the name of `field`, for one that cannot be read.
    """
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = f"cannot be read: {type(error).__name__}"
        raise InvalidRequest(field, str(file), why) from None
