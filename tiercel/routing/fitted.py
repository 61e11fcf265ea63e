"""Fitted policies as files: one .safetensors each, with the features that they were fitted on."""

import json
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tiercel.errors import ModelUnavailable
from tiercel.routing.imitation import NeighbourState, SoftmaxState
from tiercel.routing.linucb import LinUcbState
from tiercel.routing.reduction import Reduction

State = LinUcbState | SoftmaxState | NeighbourState
S = TypeVar("S", LinUcbState, SoftmaxState, NeighbourState)


def save_fitted(
    path: Path, reduction: Reduction, state: State, *, features_definition: str
) -> None:
    """Write what a policy was fitted to, and the definition of the features that it takes."""
    arrays = {f"state.{name}": np.ascontiguousarray(array) for name, array in _arrays(state)}
    arrays["reduction.mean"] = np.ascontiguousarray(reduction.mean)
    arrays["reduction.directions"] = np.ascontiguousarray(reduction.directions)
    about = {"arms": json.dumps(state.arms), "features_definition": features_definition}
    save_file(arrays, path, metadata=about)


def load_fitted(path: Path, kind: type[S], *, features_definition: str) -> tuple[Reduction, S]:
    """Return what `save_fitted` wrote of a state of this kind.

    Raises ModelUnavailable, in one line, for a file that is missing, of another kind of state, or
    fitted on other features.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        names = [field.name for field in fields(kind) if field.name != "arms"]
        state = kind(
            arms=tuple(json.loads(about["arms"])),
            **{name: arrays[f"state.{name}"] for name in names},
        )
        reduction = Reduction(arrays["reduction.mean"], arrays["reduction.directions"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelUnavailable(f"{path} holds no fitted policy: {error}") from None
    if about.get("features_definition") != features_definition:
        raise ModelUnavailable(f"{path} was fitted on other features than this version's")
    return reduction, state


def _arrays(state: State) -> list[tuple[str, np.ndarray]]:
    named = ((field.name, getattr(state, field.name)) for field in fields(state))
    return [(name, value) for name, value in named if isinstance(value, np.ndarray)]
