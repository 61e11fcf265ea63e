"""The page on operating names every metric that a service counts."""

from types import ModuleType

import pytest
from prometheus_client.metrics import MetricWrapperBase

from services.feedback import metrics as of_feedback
from services.router import metrics as of_router
from tests.modules import REPOSITORY
from tiercel import telemetry

PAGE = (REPOSITORY / "docs" / "operating.md").read_text()


@pytest.mark.parametrize("module", [telemetry, of_router, of_feedback])
def test_the_page_names_every_metric_with_its_labels(module: ModuleType):
    metrics = [one for one in vars(module).values() if isinstance(one, MetricWrapperBase)]
    assert metrics
    for metric in metrics:
        name = metric.describe()[0].name
        row = next(line for line in PAGE.splitlines() if f"`{name}`" in line)
        assert all(f"`{label}`" in row for label in metric._labelnames), row
