import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "services to point tests/test_conformance.py at")
    group.addoption("--drafter", metavar="HOST:PORT", help="a drafter; without it, our own")
    group.addoption("--verifier", metavar="HOST:PORT", help="a verifier; without it, our own")
