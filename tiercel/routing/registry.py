"""Every policy by its name, made from settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import cast

from tiercel.errors import InvalidRequest, NotFound
from tiercel.routing.cascade import Ahead, Cascade
from tiercel.routing.costs import Cheapest, CostOnly, Fastest, Random, Static
from tiercel.routing.fitted import load_fitted
from tiercel.routing.imitation import (
    NearestNeighbours,
    NeighbourState,
    RewardArgmax,
    SoftmaxState,
)
from tiercel.routing.linucb import LinUcb, LinUcbState
from tiercel.routing.policy import Policy
from tiercel.routing.qualities import Budget, Target, Utility
from tiercel.routing.thompson import Thompson


@dataclass(frozen=True)
class PolicySettings:
    """What policies can be told; each takes what it has use for."""

    cost_weight: float = 0.0  # quality that a second is worth, where the caller does not say
    target_quality: float = 0.8  # success probability to reach, where the caller does not say
    fitted: Path | None = None  # folder of the fitted policies, each NAME.safetensors
    features_definition: str = ""  # of the features that the router computes
    ahead: Ahead | None = None  # what a cascade's start is worth; None: a rule of thumb


Factory = Callable[[PolicySettings], Policy]


def make(name: str, settings: PolicySettings) -> Policy:
    """Return the policy; `module:attribute` names a factory of anybody's.

    Raises NotFound with the names that there are, InvalidRequest if it has to be fitted and no
    folder is given or nothing is imported by its name, ModelUnavailable for a file that does not
    fit.
    """
    if ":" in name:
        return _of_ones_own(name, settings)
    if name not in POLICIES:
        raise NotFound(f"no policy {name!r}; the policies are {', '.join(POLICIES)}")
    return POLICIES[name](settings)


def imported(what: str, name: str, kind: str = "factory") -> Callable[..., object]:
    """Return what `module:attribute` names; raises InvalidRequest if it is nothing to call.

    `what` is the field that held the name, `kind` what it should have named.
    """
    module, _, attribute = name.partition(":")
    try:
        factory = getattr(import_module(module), attribute)
    except (ImportError, ValueError, AttributeError) as error:
        raise InvalidRequest(what, name, f"cannot be imported: {error}") from None
    if not callable(factory):
        raise InvalidRequest(what, name, f"is no {kind}: it cannot be called")
    return cast(Callable[..., object], factory)


def _of_ones_own(name: str, settings: PolicySettings) -> Policy:
    policy = cast(Factory, imported("policy", name))(settings)
    if not hasattr(policy, "weigh"):
        raise InvalidRequest("policy", name, f"makes no policy: {policy!r} has no weigh")
    return policy


def _metallm(settings: PolicySettings) -> Policy:
    definition = settings.features_definition
    path = _file("metallm", settings)
    return LinUcb(*load_fitted(path, LinUcbState, features_definition=definition))


def _reward_argmax(settings: PolicySettings) -> Policy:
    definition = settings.features_definition
    path = _file("reward_argmax", settings)
    return RewardArgmax(*load_fitted(path, SoftmaxState, features_definition=definition))


def _knn(settings: PolicySettings) -> Policy:
    reduction, state = load_fitted(
        _file("knn", settings), NeighbourState, features_definition=settings.features_definition
    )
    return NearestNeighbours(reduction, state, cost_weight=settings.cost_weight)


def _file(name: str, settings: PolicySettings) -> Path:
    if settings.fitted is None:
        raise InvalidRequest(
            "policy", name, "has to be fitted first: give the folder with its file"
        )
    return settings.fitted / f"{name}.safetensors"


POLICIES: Mapping[str, Factory] = MappingProxyType(
    {
        "static": lambda settings: Static(),
        "random": lambda settings: Random(),
        "cheapest": lambda settings: Cheapest(),
        "cost_only": lambda settings: CostOnly(),
        "fastest": lambda settings: Fastest(),
        "utility": lambda settings: Utility(settings.cost_weight),
        "target": lambda settings: Target(settings.target_quality),
        "budget": lambda settings: Budget(),
        "cascade": lambda settings: Cascade(settings.cost_weight, settings.ahead),
        "thompson": lambda settings: Thompson(settings.cost_weight),
        "metallm": _metallm,
        "reward_argmax": _reward_argmax,
        "knn": _knn,
    }
)
FITTED = ("metallm", "reward_argmax", "knn")
