"""The configuration of a deployment, tiers, plans, router and feedback, as one TOML file."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from tiercel.errors import InvalidRequest, TiercelError
from tiercel.plan_rules import LOCAL, check_shape
from tiercel.plan_text import NAME, Outline, parse_plan

BUILT_IN = Path(__file__).with_name("tiers.toml")
DNS = "dns:///"

Setting = bool | int | float | str
_NAME = re.compile(NAME)
_ADDRESS = re.compile(r"(?:dns:///)?(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+):(\d{1,5})")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tier(_Section):
    """One tier: what its replicas run, and where they are.

    The one address `local` is for a look-up drafter in the process of each tier that it drafts for.
    """

    service: Literal["verifier", "drafter"]
    engine: str = Field(min_length=1)
    model: str = ""
    dtype: str = ""
    addresses: tuple[str, ...] = Field(min_length=1)
    settings: dict[str, Setting] = Field(default_factory=dict)
    # What a second of its work costs, in whatever unit; plans are compared and limited by it.
    price_per_second: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    # What a replica's model takes in memory; left out, it is what the replica says.
    memory_gb: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @field_validator("addresses")
    @classmethod
    def _each_is_an_address(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            if address != LOCAL:
                _check_address(address)
        if len(set(addresses)) < len(addresses):
            raise ValueError("holds an address twice")
        return addresses

    @model_validator(mode="after")
    def _only_a_look_up_is_local(self) -> Self:
        if LOCAL not in self.addresses:
            return self
        if self.service != "drafter" or self.engine != "suffix" or len(self.addresses) > 1:
            raise ValueError(f"{LOCAL} is for a drafter of engine suffix, as its only address")
        if self.settings:
            raise ValueError(
                f"a {LOCAL} tier has no process: its settings are those of its parents"
            )
        return self

    @property
    def is_local(self) -> bool:
        """Whether it lives in the processes of the tiers that it drafts for."""
        return self.addresses == (LOCAL,)


class Machine(_Section):
    """A machine whose memory does not hold the models of all its replicas at once.

    Those of `tiers` live there, and those at an address of `hosts`.
    """

    memory_gb: float = Field(gt=0, allow_inf_nan=False)
    tiers: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    def has(self, tier: str, address: str) -> bool:
        """Return whether a tier's replica at an address lives there."""
        return tier in self.tiers or address.rpartition(":")[0].strip("[]") in self.hosts


class Place(_Section):
    """A service that is not a tier: where it is, and settings for its process."""

    address: str = ""
    settings: dict[str, Setting] = Field(default_factory=dict)

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        if address:
            _check_address(address)
        return address


class _File(_Section):
    """The file as it is written."""

    tiers: dict[str, Tier] = Field(min_length=1)
    plans: dict[str, str] = Field(min_length=1)
    default_plan: str
    machines: dict[str, Machine] = Field(default_factory=dict)
    router: Place = Field(default_factory=lambda: Place(address="localhost:50050"))
    feedback: Place = Place()

    @field_validator("tiers")
    @classmethod
    def _names_can_stand_in_a_plan(cls, tiers: dict[str, Tier]) -> dict[str, Tier]:
        for name in tiers:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be a tier's name: letters, digits and _.- only")
        return tiers


class Configuration:
    """Tiers by name, plans by name, and where router and feedback are. Made by `load`."""

    def __init__(self, file: _File) -> None:
        self.tiers: Mapping[str, Tier] = MappingProxyType(file.tiers)
        self.plans: Mapping[str, Outline] = MappingProxyType(
            {name: _plan(f"plans.{name}", text, file.tiers) for name, text in file.plans.items()}
        )
        self.default_plan = file.default_plan
        self.machines: Mapping[str, Machine] = MappingProxyType(file.machines)
        self.router = file.router
        self.feedback = file.feedback
        if file.default_plan not in self.plans:
            raise InvalidRequest("default_plan", file.default_plan, "no such plan under [plans]")
        _check_machines(file.machines, file.tiers)


def load(path: Path | None = None) -> Configuration:
    """Return the configuration in the file at `path`, or the built-in one.

    Raises InvalidRequest, one line with the key, for a file that cannot be read or honoured.
    """
    try:
        content = tomllib.loads((path or BUILT_IN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else f"not TOML: {error}"
        raise InvalidRequest("config", str(path), str(why)) from None
    return parse(content)


def parse(content: dict[str, Any]) -> Configuration:
    """Return the configuration that the content of a file says; raises InvalidRequest."""
    try:
        return Configuration(_File.model_validate(content))
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        value = None if problem["type"] == "missing" else problem["input"]
        raise InvalidRequest(key, value, problem["msg"].removeprefix("Value error, ")) from None


def environment(tier: Tier, *, name: str, address: str) -> dict[str, str]:
    """Return the settings of one replica's process, as its environment."""
    own = {
        "tier": name,
        "address": address,
        "engine": tier.engine,
        "model": tier.model,
        "dtype": tier.dtype,
    }
    return as_environment({key: value for key, value in own.items() if value} | tier.settings)


def as_environment(settings: Mapping[str, Setting]) -> dict[str, str]:
    """Return settings as the environment of a process: TIERCEL_<KEY>."""
    return {f"TIERCEL_{key.upper()}": _written(value) for key, value in settings.items()}


def _written(value: Setting) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_address(address: str) -> None:
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match[1]) < 65536:
        raise ValueError(f"{address!r} is not host:port or dns:///name:port")


def _check_machines(machines: Mapping[str, Machine], tiers: Mapping[str, Tier]) -> None:
    """Refuse tiers that there are not, and places that are told twice or not at all."""
    known: dict[str, str] = {}
    for name, machine in machines.items():
        places = {f"tiers.{tier}" for tier in machine.tiers}
        places |= {f"hosts.{host}" for host in machine.hosts}
        if not places:
            raise InvalidRequest(f"machines.{name}", {}, "neither tiers nor hosts are there")
        for tier in machine.tiers:
            if tier not in tiers or tiers[tier].is_local:
                why = "no tier of that name has a model under [tiers]"
                raise InvalidRequest(f"machines.{name}.tiers", tier, why)
        for place in sorted(places & known.keys()):
            why = f"{known[place]} has it too"
            raise InvalidRequest(f"machines.{name}", place, why)
        known |= dict.fromkeys(places, name)


def _plan(key: str, text: str, tiers: Mapping[str, Tier]) -> Outline:
    try:
        outline = parse_plan(text)
        plan = outline.plan()
        check_shape(plan)
    except TiercelError as error:
        raise InvalidRequest(key, text, str(error).removeprefix(f"plan={text!r}: ")) from None
    for part in plan.walk():
        if part.tier not in tiers:
            raise InvalidRequest(key, text, f"no tier {part.tier!r} under [tiers]")
    if tiers[plan.tier].service != "verifier":
        raise InvalidRequest(key, text, f"tier {plan.tier!r} is a drafter and cannot answer")
    return outline
