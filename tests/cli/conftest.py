"""The command line as a function, against a router whose answers are scripted."""

from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from tests.cli.scripted_router import ScriptedRouter, scripted_router
from tiercel.cli.__main__ import app

Tiercel = Callable[..., Result]


@pytest.fixture
def router() -> Iterator[ScriptedRouter]:
    with scripted_router() as router:
        yield router


@pytest.fixture
def tiercel(router: ScriptedRouter) -> Tiercel:
    """Run `tiercel` with arguments; the router's address comes from the environment."""

    def run(*arguments: str, stdin: str | None = None, **environment: str) -> Result:
        environment = {"TIERCEL_ROUTER": router.address, "NO_COLOR": "", **environment}
        return CliRunner().invoke(app, arguments, input=stdin, env=environment)

    return run


def has_one_line(result: Result, status: int, words: str) -> bool:
    """Whether a run failed with one line that holds `words`, and no traceback."""
    lines = result.stderr.splitlines()
    clean = result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code == status and len(lines) == 1 and words in lines[0] and clean
