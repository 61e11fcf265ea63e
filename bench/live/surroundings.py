"""What a live result was made with, as its JSON says it."""

import platform
from dataclasses import asdict
from os import sched_getaffinity
from typing import Any

from bench.limits.machine import describe
from tiercel.evaluation.frontier.provenance import provenance


def surroundings() -> dict[str, Any]:
    """Return commit, versions, and the machine in one line."""
    made_with = provenance()
    cores = len(sched_getaffinity(0))
    machine = f"{cores} cores, {made_with.cpu}, {describe()}, {platform.platform()}"
    return {"machine": machine, "made_with": asdict(made_with)}
