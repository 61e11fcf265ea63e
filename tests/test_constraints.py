"""The lock holds every dependency at one version within its declared range."""

import tomllib
from collections.abc import Iterable

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.lock import REPOSITORY, pin


def declared() -> list[Requirement]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    texts = [*project["dependencies"], *(text for extra in extras for text in extra)]
    return [Requirement(text) for text in texts]


def locked() -> list[str]:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def not_held(requirements: Iterable[Requirement], lines: Iterable[str]) -> list[str]:
    """Name the requirements that no line pins to a version that they allow."""
    versions = dict(line.split("==") for line in lines)
    return [
        requirement.name
        for requirement in requirements
        if not requirement.specifier.contains(
            versions.get(canonicalize_name(requirement.name), "0"), prereleases=True
        )
    ]


def test_every_declared_dependency_is_locked_within_its_range():
    assert not_held(declared(), locked()) == []


def test_a_missing_or_foreign_version_is_found():
    requirements = [Requirement("numpy>=1.26,<3"), Requirement("rich>=13")]
    assert not_held(requirements, ["numpy==3.0"]) == ["numpy", "rich"]


def test_the_lock_names_exact_versions_and_nothing_else():
    assert [line for line in locked() if not Requirement(line).specifier] == []
    assert all("@" not in line and "/" not in line for line in locked())


def test_no_cuda_package_is_locked():
    assert [line for line in locked() if line.startswith(("nvidia-", "cuda-", "triton=="))] == []


@pytest.mark.parametrize(
    ("name", "version", "line"),
    [("torch", "2.13.0+cpu", "torch==2.13.0"), ("Types_PyYAML", "6.0", "types-pyyaml==6.0")],
)
def test_a_pin_has_a_normal_name_and_no_local_version(name: str, version: str, line: str):
    assert pin(name, version) == line
