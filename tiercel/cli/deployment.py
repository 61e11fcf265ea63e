"""A configuration as processes on this machine: what to run for each service, and where."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tiercel import config, tiers
from tiercel.cli.supervisor import ChildSpec, ports
from tiercel.errors import InvalidRequest
from tiercel.tiers import Configuration

_HERE = ("localhost", "127.0.0.1", "0.0.0.0", "::", "::1")
# Less than the supervisor's own grace: a service ends its streams before it is killed.
_GRACE_S = 5.0


class Deployment:
    """The processes of the configuration in the file at `path`, or of the built-in one.

    `common` are settings for every process, `feedback` for that of feedback alone.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        common: Mapping[str, tiers.Setting] | None = None,
        feedback: Mapping[str, tiers.Setting] | None = None,
    ) -> None:
        self.configuration: Configuration = tiers.load(path)
        self._path = path
        self._common = {"log_json": True, "grace_s": _GRACE_S, **(common or {})}
        self._feedback = feedback or {}

    @property
    def router(self) -> str:
        """Where the router will be."""
        return self.configuration.router.address

    def specs(self) -> list[ChildSpec]:
        """Return the processes in the order of their start; the router comes last.

        Raises InvalidRequest for two at one address.
        """
        specs = [*self._feedback_spec(), *self._tier_specs(), self._router_spec()]
        there: dict[str, str] = {}
        for spec in specs:
            if there.setdefault(spec.address, spec.name) != spec.name:
                raise InvalidRequest(spec.name, spec.address, f"{there[spec.address]} is there too")
        return specs

    def elsewhere(self) -> list[str]:
        """Return the replicas that the configuration places on other machines."""
        return [
            f"{name} at {address}" for name, address in self._replicas() if not _is_here(address)
        ]

    def _replicas(self) -> Iterator[tuple[str, str]]:
        for name, tier in self.configuration.tiers.items():
            for address in () if tier.is_local else tier.addresses:
                yield name, address

    def _tier_specs(self) -> Iterator[ChildSpec]:
        for name, address in reversed([*self._replicas()]):
            if not _is_here(address):
                continue
            tier = self.configuration.tiers[name]
            own = tiers.environment(tier, name=name, address=address)
            shown = name if len(tier.addresses) == 1 else f"{name}@{ports.split(address)[1]}"
            yield self._spec(shown, tier.service, address, own)

    def _feedback_spec(self) -> Iterator[ChildSpec]:
        place = self.configuration.feedback
        if place.address and _is_here(place.address):
            own = {"address": place.address, **self._feedback, **place.settings}
            yield self._spec("feedback", "feedback", place.address, tiers.as_environment(own))

    def _router_spec(self) -> ChildSpec:
        place = self.configuration.router
        path = {"config": str(self._path.resolve())} if self._path else {}
        own = {"address": place.address, **path, **place.settings}
        return self._spec("router", "router", place.address, tiers.as_environment(own))

    def _spec(self, name: str, service: str, address: str, own: Mapping[str, str]) -> ChildSpec:
        environment = {**tiers.as_environment(self._common), **config.given(own)}
        command = (sys.executable, "-m", f"services.{service}")
        return ChildSpec(name, command, address, environment)


def on_free_ports(path: Path | None, folder: Path) -> Path:
    """Write a copy of a configuration into `folder`, every service on a free port; return it."""
    configuration = tiers.load(path)
    text = (path or tiers.BUILT_IN).read_text(encoding="utf-8")
    served = [tier for tier in configuration.tiers.values() if not tier.is_local]
    places = [address for tier in served for address in tier.addresses]
    places += [configuration.router.address, configuration.feedback.address]
    here = [address for address in places if address and _is_here(address)]
    for address, port in zip(here, ports.free_ports(len(here)), strict=True):
        for quote in "\"'":
            text = text.replace(f"{quote}{address}{quote}", f'"localhost:{port}"')
    copy = folder / "tiers.toml"
    copy.write_text(text, encoding="utf-8")
    return copy


def _is_here(address: str) -> bool:
    return not address.startswith(tiers.DNS) and ports.split(address)[0] in _HERE
