"""Generate the Python stubs and their type stubs from protos/ (`make proto`).

usage: python scripts/generate_stubs.py [ROOT]

Writes ROOT/tiercel/v1/*_pb2.py, *_pb2_grpc.py and their .pyi; ROOT is the repository if not given.
The proto folder, the proto package and the Python package have one name, so that the generated
imports need no repair.
"""

import sys
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
        f"--mypy_out={root}",
        f"--mypy_grpc_out={root}",
        *sources,
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc failed; its message is above")


def main() -> None:
    """Generate into the folder named on the command line, or into the repository."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY
    root.mkdir(parents=True, exist_ok=True)
    generate(root)


if __name__ == "__main__":
    main()
