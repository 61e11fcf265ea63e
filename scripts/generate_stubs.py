"""Generate the Python stubs and their type stubs from protos/ (`make proto`).

usage: python -m scripts.generate_stubs [--check | ROOT]

Writes ROOT/tiercel/v1/*_pb2.py, *_pb2_grpc.py and their .pyi; ROOT is the repository if not given.
With --check it writes nothing, and fails if the committed stubs are not what the protos give. The
proto folder, the proto package and the Python package have one name, so that the generated imports
need no repair.
"""

import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

REPOSITORY = Path(__file__).resolve().parent.parent
PROTOS = REPOSITORY / "protos"
# The plugins lie beside the interpreter, so that no environment has to be activated. The path is
# not resolved: a virtual environment's python is a link out of it.
PLUGINS = Path(sys.executable).parent
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"


def generate(root: Path) -> None:
    """Write the stubs of every proto under `root`; raises RuntimeError if protoc fails."""
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    arguments = [
        "protoc",
        f"-I{PROTOS}",
        f"-I{WELL_KNOWN}",
        f"--plugin=protoc-gen-mypy={PLUGINS / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={PLUGINS / 'protoc-gen-mypy_grpc'}",
        f"--python_out={root}",
        f"--grpc_python_out={root}",
        f"--mypy_out=quiet:{root}",
        f"--mypy_grpc_out=quiet:{root}",
        *sources,
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc failed; its message is above")


def stubs_in(root: Path) -> dict[str, str]:
    """Return the text of every stub under `root`, by its path from there."""
    files = sorted((root / "tiercel" / "v1").glob("*_pb2*.py*"))
    return {str(path.relative_to(root)): path.read_text() for path in files}


def stale_stubs(root: Path) -> list[str]:
    """Name the stubs under `root` that the protos would write otherwise, not at all, or anew."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = stubs_in(Path(folder))
    committed = stubs_in(root)
    names = fresh.keys() | committed.keys()
    return sorted(name for name in names if fresh.get(name) != committed.get(name))


def main() -> None:
    """Generate, or check what is committed."""
    argument = sys.argv[1] if len(sys.argv) > 1 else str(REPOSITORY)
    if argument == "--check":
        stale = stale_stubs(REPOSITORY)
        sys.exit(f"run `make proto`; out of date: {', '.join(stale)}" if stale else 0)
    Path(argument).mkdir(parents=True, exist_ok=True)
    generate(Path(argument))


if __name__ == "__main__":
    main()
