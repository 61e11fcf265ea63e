"""The project's modules as files: what each imports, and the nodes of its code."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Module:
    """One file of the project, by its path from the repository's root."""

    path: str
    source: str

    @property
    def parts(self) -> tuple[str, ...]:
        return Path(self.path).with_suffix("").parts

    @property
    def name(self) -> str:
        return ".".join(part for part in self.parts if part != "__init__")

    def within(self, *names: str) -> bool:
        return any(self.name == name or self.name.startswith(f"{name}.") for name in names)

    def nodes(self) -> list[ast.AST]:
        return nodes_of(self.source)

    def imports(self) -> Iterator[str]:
        """Yield every dotted name that the module imports, `from a import b` as a.b."""
        for node in self.nodes():
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                package = self.parts[: -node.level] if node.level else ()
                base = ".".join([*package, *filter(None, [node.module])])
                yield from (f"{base}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Call) and dotted(node.func).endswith("import_module"):
                yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant))

    def imports_of(self, *names: str) -> list[str]:
        """Return the imports of the named modules, or of anything in them."""
        return [i for i in self.imports() if any(i == n or i.startswith(f"{n}.") for n in names)]


@cache
def nodes_of(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


def dotted(node: ast.AST) -> str:
    """Return a name as it is written, a.b.c; what stands before its dots may be anything."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@cache
def modules(*folders: str) -> list[Module]:
    """Return every module that people write in the folders; the stubs are not among them."""
    paths = [path for folder in folders for path in sorted((REPOSITORY / folder).rglob("*.py"))]
    own = [path for path in paths if "_pb2" not in path.name]
    return [Module(path.relative_to(REPOSITORY).as_posix(), path.read_text()) for path in own]
