"""The committed stubs are what the protos give, and the protos keep to the stated style."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import generate_stubs

REPOSITORY = generate_stubs.REPOSITORY
BUF = Path(sys.executable).parent / "buf"


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    """A copy of the committed stubs that a test may spoil."""
    root = tmp_path / "copy"
    shutil.copytree(REPOSITORY / "tiercel" / "v1", root / "tiercel" / "v1")
    return root


def buf_lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BUF, "lint"], cwd=folder, capture_output=True, text=True)


def test_the_committed_stubs_are_those_of_the_protos():
    assert generate_stubs.stubs_in(REPOSITORY), "no stubs at all"
    assert generate_stubs.stale_stubs(REPOSITORY) == []


def test_a_changed_stub_is_found(committed: Path):
    stub = committed / "tiercel" / "v1" / "drafter_pb2.py"
    stub.write_text(stub.read_text() + "# edited\n")
    assert generate_stubs.stale_stubs(committed) == ["tiercel/v1/drafter_pb2.py"]


def test_a_missing_type_stub_is_found(committed: Path):
    (committed / "tiercel" / "v1" / "drafter_pb2_grpc.pyi").unlink()
    assert generate_stubs.stale_stubs(committed) == ["tiercel/v1/drafter_pb2_grpc.pyi"]


def test_a_stub_of_a_proto_that_is_gone_is_found(committed: Path):
    (committed / "tiercel" / "v1" / "gone_pb2.py").touch()
    assert generate_stubs.stale_stubs(committed) == ["tiercel/v1/gone_pb2.py"]


def test_the_protos_keep_to_the_style():
    result = buf_lint(REPOSITORY)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_field_without_a_comment_breaks_the_style(tmp_path: Path):
    shutil.copytree(REPOSITORY / "protos", tmp_path / "protos")
    shutil.copy(REPOSITORY / "buf.yaml", tmp_path)
    drafter = tmp_path / "protos" / "tiercel" / "v1" / "drafter.proto"
    bare = "\n// A message with a bare field.\nmessage Bare {\n  uint32 no_comment = 1;\n}\n"
    drafter.write_text(drafter.read_text() + bare)
    result = buf_lint(tmp_path)
    assert result.returncode != 0
    assert "no_comment" in result.stdout
