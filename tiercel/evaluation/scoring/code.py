"""Unit tests: the code of an answer, run with its item's tests in a sandbox."""

import re

from tiercel.evaluation.items import Item
from tiercel.evaluation.scoring.sandbox import passes

_BLOCKS = re.compile(r"```[^\n`]*\n(.*?)(?:\n```|\Z)", re.S)


def score_code(text: str, item: Item) -> dict[str, float]:
    """Return `passed`: 1 if every test of the item holds."""
    return {"passed": float(passes(program(text, item)))}


def program(text: str, item: Item) -> str:
    """Return the answer's code with the tests behind it.

    HumanEval's items have an `entry_point` and a `test` with a function `check`; MBPP's have a
    `test_list`. A completion without the function's head gets the prompt put before it.
    """
    code = code_of(text)
    entry_point = item.meta.get("entry_point")
    if entry_point is None:
        return "\n".join([*item.meta.get("test_imports", []), code, *item.meta["test_list"]])
    if not re.search(rf"^def {re.escape(entry_point)}\b", code, re.M):
        code = item.prompt + code
    # What a prompt imports before the function is often left out of an answer.
    head = item.prompt.partition("def ")[0] if f"def {entry_point}" in code else ""
    return "\n".join([_imports(head), code, item.meta["test"], f"check({entry_point})"])


def code_of(text: str) -> str:
    """Return the first fenced block of a text, or all of a text without one."""
    block = _BLOCKS.search(text)
    return block[1] if block else text


def _imports(head: str) -> str:
    return "\n".join(line for line in head.splitlines() if line.startswith(("import ", "from ")))
