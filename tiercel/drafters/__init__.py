"""Drafters that come with Tiercel, and where to find them."""

from pathlib import Path

from tiercel.errors import ModelUnavailable

_NGRAM = ".ngram.safetensors"


def table_path(name: str) -> Path:
    """Return the file of an n-gram table; `name` is a model whose table is here, or a path.

    Raises ModelUnavailable that names the tables there are.
    """
    folder = Path(__file__).parent
    shipped = {path.name.removesuffix(_NGRAM): path for path in folder.glob(f"*{_NGRAM}")}
    path = shipped.get(name, Path(name).expanduser())
    if not path.is_file():
        here = ", ".join(sorted(shipped)) or "none"
        raise ModelUnavailable(f"no n-gram table {name!r}: neither a file nor one of {here}")
    return path
