"""The router's policies, from its settings: each made once, and wrapped as all are."""

from dataclasses import dataclass

from services.router.implied import WEIGHING
from tiercel.errors import InvalidRequest, NotFound
from tiercel.routing.budgeted import Budgeted
from tiercel.routing.policy import Policy
from tiercel.routing.registry import FITTED, POLICIES, PolicySettings, make
from tiercel.routing.wrapping import Exploring, Sticky

# Policies without a choice that could be explored, and those whose choices conversations stay with.
_PLAIN = ("static", "random")
_STAYING = ("utility", "target", "budget", "cascade", "thompson")


@dataclass(frozen=True)
class Wrapping:
    """What goes around every policy that chooses."""

    exploration: float = 0.0
    switch_margin: float = 0.0
    switch_cost: float = 0.0


def all_policies(
    settings: PolicySettings, wrapping: Wrapping, *, default: str, on_trial: str = ""
) -> dict[str, Policy]:
    """Return every policy that can be had; those to be fitted only where their file is.

    Raises NotFound or InvalidRequest if the default cannot be had, or one that is `on_trial`,
    ModelUnavailable for a file that does not fit.
    """
    needed = [name for name in (default, on_trial) if name]
    for name in needed:
        _check(name, settings)
    names = [name for name in POLICIES if name not in FITTED or _is_fitted(name, settings)]
    names += [name for name in dict.fromkeys(needed) if name not in names]
    return {name: _wrapped(name, make(name, settings), settings, wrapping) for name in names}


def _check(name: str, settings: PolicySettings) -> None:
    if name not in POLICIES and ":" not in name:
        raise NotFound(f"no policy {name!r} here; there is {', '.join(POLICIES)}")
    if name in FITTED and not _is_fitted(name, settings):
        raise InvalidRequest("policy", name, "has to be fitted: fitted_policies has no file of it")


def _is_fitted(name: str, settings: PolicySettings) -> bool:
    return settings.fitted is not None and (settings.fitted / f"{name}.safetensors").is_file()


def _wrapped(name: str, policy: Policy, settings: PolicySettings, wrapping: Wrapping) -> Policy:
    if name in _PLAIN:
        return policy
    if name in _STAYING:
        policy = Sticky(
            policy,
            margin=wrapping.switch_margin,
            switch_cost=wrapping.switch_cost,
            cost_weight=settings.cost_weight,
        )
    if name in WEIGHING:
        policy = Budgeted(policy, settings.cost_weight)
    return Exploring(policy, wrapping.exploration)
