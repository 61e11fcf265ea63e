"""A report as JSON: everything that was found, no prompt's text, NaN as null."""

import json
import math
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from tiercel.whole_files import write_whole

SCHEMA = 1


def write_report(path: Path, report: Any) -> None:
    """Write a report, which is a dataclass; the file appears whole."""
    content = {"schema_version": SCHEMA, **plain(report)}
    write_whole(path, json.dumps(content, indent=1, allow_nan=False).encode() + b"\n")


def plain(value: Any) -> Any:
    """Return dataclasses as objects, numbers that do not exist as null, floats at six digits."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
