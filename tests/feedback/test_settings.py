"""Where the URL of Redis comes from, and that it is shown nowhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from services.feedback.settings import Settings
from tiercel import config
from tiercel.errors import InvalidRequest

REPOSITORY = Path(__file__).parents[2]


def run(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.feedback", "--address", "localhost:0", *flags],
        env={f"TIERCEL_{name.upper()}": value for name, value in environment.items()},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )


def test_the_default_is_an_embedded_server():
    settings = config.load(Settings, [])
    assert settings.store_url() == ""
    assert settings.address == "localhost:50070"


def test_a_file_goes_before_the_setting(tmp_path: Path):
    path = tmp_path / "url"
    path.write_text("redis://:hunter2@host/0\n")
    settings = config.load(Settings, ["--redis-url-file", str(path), "--redis-url", "redis://no"])
    assert settings.store_url() == "redis://:hunter2@host/0"
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_file_without_a_url_is_an_error(tmp_path: Path, content: bytes | None):
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidRequest, match="redis_url_file"):
        config.load(Settings, ["--redis-url-file", str(path)]).store_url()


def test_a_url_goes_into_no_repr():
    settings = config.load(Settings, ["--redis-url", "redis://:hunter2@host/0"])
    assert "hunter2" not in f"{settings!r} {settings.model_dump_json()}"


@pytest.mark.parametrize("url", ["nosuch://:hunter2@host", "redis://:hunter2@host:port"])
def test_a_bad_url_ends_the_process_with_a_line_that_does_not_show_it(url: str):
    ended = run(redis_url=url)
    assert ended.returncode == 2
    assert ended.stderr.startswith("tiercel-feedback: redis_url=")
    assert len(ended.stderr.splitlines()) == 1
    assert "hunter2" not in ended.stdout + ended.stderr


def test_a_folder_that_cannot_be_had_ends_the_process_with_a_line(tmp_path: Path):
    (tmp_path / "file").touch()
    ended = run("--data-dir", str(tmp_path / "file"))
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "data_dir" in ended.stderr
