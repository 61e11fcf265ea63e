"""Every test of the chart needs helm; where its package cannot be had they are skipped."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from scripts import check_chart
from scripts.check_chart import Manifest
from scripts.get_helm import HelmUnavailable, get_helm


@pytest.fixture(scope="session", autouse=True)
def helm() -> None:
    try:
        get_helm()
    except HelmUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def workloads() -> Callable[..., dict[str, Manifest]]:
    """Return the pod-making manifests of a rendering by name."""
    render = cache(check_chart.render)

    def found(*arguments: Any) -> dict[str, Manifest]:
        kinds = ("Deployment", "StatefulSet")
        return {
            manifest["metadata"]["name"]: manifest
            for manifest in render(*arguments)
            if manifest["kind"] in kinds
        }

    return found
