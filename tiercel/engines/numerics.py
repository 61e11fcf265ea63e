"""Names what a model's bits depend on, so that equal names promise equal bits."""

import hashlib
import platform
from pathlib import Path


def numerics_id(*parts: str) -> str:
    """Return a short hash of `parts` and of this machine's instruction set."""
    whole = "\n".join((*parts, instruction_set()))
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def instruction_set() -> str:
    """Return the processor's family and, where the system tells them, its feature flags."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return " ".join([platform.machine(), *sorted(flags.partition(":")[2].split())])
