"""Reads the manifest of a fitted model, if that is the model that lies beside it."""

from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tiercel.errors import ModelUnavailable


class Section(BaseModel):
    """A part of a manifest: nothing unknown in it, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OfModel(Section):
    """What every manifest says."""

    model_sha256: str


Kind = TypeVar("Kind", bound=OfModel)


def read_checked(manifest_file: Path, model_file: Path, kind: type[Kind], what: str) -> Kind:
    """Return the manifest; raises ModelUnavailable, in one line, for a missing or changed file.

    `what` names the model in that line.
    """
    try:
        manifest = kind.model_validate_json(manifest_file.read_bytes())
        digest = sha256(model_file.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelUnavailable(f"{what}: {error.filename}: {error.strerror}") from None
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        raise ModelUnavailable(f"{manifest_file}: {key}: {problem['msg']}") from None
    if digest != manifest.model_sha256:
        raise ModelUnavailable(f"{model_file} is not the model of its manifest")
    return manifest
