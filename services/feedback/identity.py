"""Who asks: a token in the call's metadata, known by its sha256 in a file of the operator's."""

import hashlib
import hmac
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tiercel.errors import InvalidRequest, Unidentified

_HEADER, _SCHEME = "authorization", "bearer "
_ANYBODY = "anybody"
_FILE = TypeAdapter(dict[str, str])


class Principals:
    """Names by the sha256 of their tokens; without any, everybody is believed."""

    def __init__(self, tokens: dict[str, str] | None = None) -> None:
        """Take sha256 digests in hex by name; None asks for no token."""
        self._tokens = tokens

    @classmethod
    def read(cls, path: Path | None) -> "Principals":
        """Return those of a JSON file {name: sha256 of the token}; raises InvalidRequest."""
        if path is None:
            return cls()
        try:
            return cls(_FILE.validate_json(path.read_bytes()))
        except (OSError, ValidationError) as error:
            why = f"is no JSON object of names and digests: {type(error).__name__}"
            raise InvalidRequest("principals_file", str(path), why) from None

    def named(self, context: Any, claimed: str = _ANYBODY) -> str:
        """Return who calls: by the token, or what is `claimed` where no token is asked for.

        Raises Unidentified.
        """
        if self._tokens is None:
            return claimed
        metadata = {key: value for key, value in context.invocation_metadata() or ()}
        value = str(metadata.get(_HEADER, ""))
        if not value.lower().startswith(_SCHEME):
            raise Unidentified("this call needs a token: authorization: Bearer TOKEN")
        digest = hashlib.sha256(value[len(_SCHEME) :].encode()).hexdigest()
        found = [name for name, known in self._tokens.items() if hmac.compare_digest(known, digest)]
        if not found:
            raise Unidentified("the token is nobody's")
        return found[0]
