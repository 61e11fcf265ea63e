"""Compiles the kernels when tiercel is installed, with the C compiler in the `ziglang` package.

`python native/build_hook.py` compiles them into the source tree.
"""

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Builds for each kind of processor: the library's name and the features that it may use. They are
# linked against an old C library, so that a wheel runs on every Linux of the last ten years.
BUILDS = {
    "x86_64": {"avx512vnni": "x86_64_v4+avx512vnni-prefer_256_bit", "avx2": "x86_64_v3"},
    "aarch64": {"neon": "generic+neon"},
}
_LIBC = "2.17"
_FLAGS = (
    "-std=c11",
    "-O3",
    "-shared",
    "-fPIC",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wno-psabi",
)
_FOLDER = Path("tiercel/engines/kernels")


class BuildKernels(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the compiled libraries to the wheel, or to the source tree for an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile every build that this system can run."""
        targets = compile_all(Path(self.root))
        build_data["artifacts"] += [f"/{_FOLDER}/{target.name}" for target in targets]
        if targets:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-manylinux_2_17_{platform.machine()}"


def compile_all(root: Path) -> list[Path]:
    """Compile what this kind of processor may need; return the libraries' paths."""
    machine, targets = platform.machine(), []
    (root / _FOLDER).mkdir(exist_ok=True)
    for name, features in BUILDS.get(machine, {}).items() if sys.platform == "linux" else ():
        targets.append(root / _FOLDER / f"libtiercel-{name}.so")
        _compile(root / "native", f"{machine}-linux-gnu.{_LIBC}", features, targets[-1])
    return targets


def _compile(sources: Path, system: str, features: str, target: Path) -> None:
    files = [str(path) for path in sorted(sources.glob("*.c"))]
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", system, f"-mcpu={features}"]
    # Put in place as a whole: a service that runs on the old library keeps it.
    partial = target.with_suffix(".partial")
    subprocess.run([*compiler, *_FLAGS, "-o", str(partial), *files, "-lm", "-lpthread"], check=True)
    partial.replace(target)


if __name__ == "__main__":
    compile_all(Path(__file__).parents[1])
