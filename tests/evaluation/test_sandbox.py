"""Untrusted code has no network, no file to write, no time and no memory beyond its limits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tiercel.evaluation.scoring.sandbox import Limits, passes

pytestmark = pytest.mark.usefixtures("confined")


@pytest.mark.parametrize(
    ("program", "is_pass"),
    [
        ("assert sorted([2, 1]) == [1, 2]", True),
        ("assert sorted([2, 1]) == [2, 1]", False),
        ("print('x' * 1_000_000)", True),
        ("def f(:", False),
        ("import sys; sys.exit(0)", False),
        ("import os; os._exit(0)", False),
        ("import os; os.kill(os.getpid(), 11)", False),
        ("import ctypes; ctypes.string_at(0)", False),
        ("if __name__ == '__main__': raise ValueError", False),
    ],
)
def test_a_program_passes_if_it_comes_to_its_end(program: str, is_pass: bool):
    assert passes(program) is is_pass


def test_a_program_that_never_ends_is_ended():
    assert not passes("while True: pass", Limits(cpu_seconds=1))
    assert not passes("import time, os\nos.fork()\ntime.sleep(600)", Limits(wall_seconds=0.5))


def test_memory_is_bounded():
    grab = "kept = bytearray(300 << 20)"
    assert passes(grab, Limits(megabytes=600))
    assert not passes(grab, Limits(megabytes=200))


def test_there_is_no_network(free_listener: int):
    """Nothing of this machine's own is reachable, which is reachable from here."""
    connect = f"import socket\nsocket.create_connection(('127.0.0.1', {free_listener}), 5)"
    subprocess.run([sys.executable, "-c", connect], check=True)
    assert not passes(connect)
    assert passes(f"try:\n    {connect.replace(chr(10), chr(10) + '    ')}\nexcept OSError: pass")


@pytest.fixture
def free_listener():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_no_file_can_be_written(tmp_path: Path):
    tmp_path.chmod(0o777)
    for place in (tmp_path / "new", Path("/tmp/new"), Path("/new")):
        assert not passes(f"open({str(place)!r}, 'w')")
        assert not place.exists()
    assert passes("open('/dev/null').close()")


def test_other_processes_are_out_of_sight():
    assert not passes(f"import os; os.kill({os.getpid()}, 0)")
    assert passes("import os; os.kill(os.getpid(), 0)")


def test_rights_cannot_be_had_back():
    """Not by mounting anew, nor from inside a further namespace."""
    library = "import ctypes\nlibrary = ctypes.CDLL(None)\n"
    remount = "assert library.mount(None, b'/', None, 4096 | 32, None) == -1\n"
    assert passes(library + remount)
    assert passes(library + "library.unshare(0x10000000 | 0x20000)\n" + remount)


def test_the_environment_is_empty(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TIERCEL_TEST_SECRET", "1")
    assert passes("import os\nassert 'TIERCEL_TEST_SECRET' not in os.environ")


def test_where_namespaces_are_denied_nothing_is_run(tmp_path: Path):
    """In a user namespace that allows no further ones."""
    told = tmp_path / "ran"
    code = (
        "from tiercel.evaluation.scoring.sandbox import passes\n"
        f"passes(\"open({str(told)!r}, 'w')\")"
    )
    deny = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" -c "$1"'
    command = ["unshare", "-Ur", "sh", "-c", deny, sys.executable, code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Unsupported: code cannot be confined here: [Errno" in done.stderr
    assert not told.exists()
