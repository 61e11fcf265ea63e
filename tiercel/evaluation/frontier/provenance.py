"""What a result was made with: the project's commit, versions of libraries, the machine's CPU."""

import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LIBRARIES = ("tiercel", "numpy", "scikit-learn", "scipy")
_GIT_S = 10.0


@dataclass(frozen=True)
class Provenance:
    """Texts for a result's file; empty where they cannot be told."""

    git_sha: str
    has_changes: bool  # in tracked files
    versions: dict[str, str]
    python: str
    cpu: str


def provenance() -> Provenance:
    """Return what this process runs on."""
    return Provenance(
        git_sha=_git("rev-parse", "HEAD"),
        has_changes=bool(_git("status", "--porcelain", "--untracked-files=no")),
        versions={name: _version(name) for name in _LIBRARIES},
        python=platform.python_version(),
        cpu=_cpu(),
    )


def _git(*words: str) -> str:
    """Return what git says of the folder that this code lies in; empty without git."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), *words], capture_output=True, text=True, timeout=_GIT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
