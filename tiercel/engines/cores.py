"""How many processor cores this process may run on."""

import os


def available_cores() -> int:
    """Return the number of cores, those that an affinity mask leaves."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
