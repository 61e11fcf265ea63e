"""Tiers beside the ladder: a further file names them, and the pilot does not wait for them."""

import tomllib
from pathlib import Path
from typing import Any

from tiercel.errors import InvalidRequest
from tiercel.evaluation.column import Column
from tiercel.evaluation.columns_on_tiers import tiers_alone
from tiercel.tiers import BUILT_IN, Configuration, load, parse

_TIERS = "tiers"


def with_specialists(
    config: Path | None, specialists: Path | None
) -> tuple[Configuration, list[Column]]:
    """Return the tiers of both files, and the columns of the ladder, which is the first one's.

    The second holds sections `[tiers.NAME]` and nothing else. Raises InvalidRequest for a file
    that cannot be read or honoured, or that names a tier of the ladder.
    """
    base = load(config)
    if specialists is None:
        return base, tiers_alone(base)
    content, further = _content(config or BUILT_IN), _content(specialists)
    if set(further) != {_TIERS}:
        raise InvalidRequest("specialists", str(specialists), "holds sections [tiers.NAME] only")
    if twice := sorted(content[_TIERS].keys() & further[_TIERS].keys()):
        raise InvalidRequest("specialists", twice[0], "is a tier of the ladder")
    whole = {**content, _TIERS: {**content[_TIERS], **further[_TIERS]}}
    return parse(whole), tiers_alone(base)


def _content(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidRequest("specialists", str(path), str(error)) from None
