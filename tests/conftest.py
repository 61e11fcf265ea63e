import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# The same examples every time, however long they take: what passed passes, on a busy machine too.
# HYPOTHESIS_PROFILE=explore looks for new ones.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", _PATIENT, derandomize=True)
settings.register_profile("explore", _PATIENT, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# Threads that wait for each other spin, which on a busy machine costs a hundred times the work.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure() -> None:
    # A shell's background job ignores Ctrl-C, and so would the processes that tests interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "services to point tests/test_conformance.py at")
    group.addoption("--drafter", metavar="HOST:PORT", help="a drafter; without it, our own")
    group.addoption("--verifier", metavar="HOST:PORT", help="a verifier; without it, our own")
    parser.addoption("--models", metavar="DIR", help="Qwen's files, for tests/qwen; see make help")
