"""Resolve every dependency anew from pyproject.toml's ranges into constraints.txt (`make lock`)."""

import json
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
EXTRAS = "torch,train,embedding,specialise,dev"
# The newest torch that has a build for the CPU alone where this project is tested; newer ones
# would draw gigabytes of CUDA packages.
DELIBERATE = ["torch==2.13.0"]
# Wanted on some of our Pythons only, so that resolving on another one does not show them.
ON_OTHER_PYTHONS = ["async-timeout"]  # redis, below 3.11.3
HEADER = f"""\
# Exact versions of everything that tiercel[{EXTRAS}] installs; `make lock` writes this file.
# The make targets install with it, so that two fresh set-ups give the same versions.
"""


def resolve() -> list[str]:
    """Return `name==version` of every distribution that a clean environment would get."""
    command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed"]
    command += ["--report", "-", "-e", f"{REPOSITORY}[{EXTRAS}]", *DELIBERATE, *ON_OTHER_PYTHONS]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    found = [item["metadata"] for item in report["install"]]
    return sorted(pin(item["name"], item["version"]) for item in found if item["name"] != "tiercel")


def pin(name: str, version: str) -> str:
    """Write one constraint; a local version (`+cpu`) names a build, which the index chooses."""
    normal_name = re.sub(r"[-_.]+", "-", name).lower()
    return f"{normal_name}=={version.split('+')[0]}"


def main() -> None:
    """Write constraints.txt."""
    (REPOSITORY / "constraints.txt").write_text(HEADER + "\n".join(resolve()) + "\n")


if __name__ == "__main__":
    main()
