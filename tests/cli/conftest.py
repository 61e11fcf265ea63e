"""The command line as a function, a router whose answers are scripted, a tiny configuration."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli.scripted_router import ScriptedRouter, scripted_router
from tests.tiny_model import tiny_gguf
from tiercel.cli.__main__ import app
from tiercel.cli.supervisor import ports

TOML = """
default_plan = "pair"
plans = {{ pair = "target <- draft:4", alone = "target" }}
router = {{ address = "localhost:{ports[0]}", settings = {{ max_outage_s = 120 }} }}
feedback = {{ address = "localhost:{ports[1]}", settings = {{ data_dir = "{folder}/valkey" }} }}
[tiers.target]
service = "verifier"
engine = "onnx"
model = "{model}"
dtype = "fp32"
addresses = ["localhost:{ports[2]}"]
settings = {{ threads = 1 }}
[tiers.draft]
service = "verifier"
engine = "onnx"
model = "{model}"
dtype = "fp32"
addresses = ["localhost:{ports[3]}"]
settings = {{ threads = 1 }}
"""

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


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("model"))


@pytest.fixture
def config(tmp_path: Path, model: Path) -> Path:
    path = tmp_path / "tiers.toml"
    path.write_text(TOML.format(ports=ports.free_ports(4), model=model, folder=tmp_path))
    return path
