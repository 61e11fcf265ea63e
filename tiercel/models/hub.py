"""Fetches a model's files from the Hugging Face hub."""

import re
from pathlib import Path

from tiercel.errors import ModelUnavailable

_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_PATTERNS = ["*.json", "*.jinja", "*.safetensors"]


def is_hub_id(name: str) -> bool:
    """Return whether `name` has the form of a Hugging Face id, owner/name."""
    return _ID.fullmatch(name) is not None


def downloaded_folder(name: str) -> Path:
    """Return the folder of the model's files, downloaded into the hub's own cache."""
    # Half a second that every other start would take.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_PATTERNS))
    except LocalEntryNotFoundError as error:
        raise ModelUnavailable(
            f"model {name!r} is not here, nor can the Hugging Face hub be reached"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelUnavailable(f"cannot download model {name!r}: {reason}") from error
