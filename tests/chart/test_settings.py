"""Every setting that the chart gives a service is one that the service knows and can read."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.check_chart import CHART, VALUES_SETS, Manifest, render
from tiercel import config
from tiercel.errors import PlanRefused
from tiercel.plan_rules import check_address
from tiercel.types import Plan

SERVICES = ("drafter", "verifier", "router", "feedback")
# Read by the library and not by a service: where models are kept.
OF_THE_LIBRARY = {"TIERCEL_CACHE"}


def settings_of(program: str) -> type[config.Settings]:
    """Return the Settings class of the service in services/<program>/__main__.py."""
    module = importlib.import_module(f"services.{program}.__main__")
    found: type[config.Settings] = module.Settings
    return found


def environments(manifests: list[Manifest]) -> list[tuple[str, dict[str, str]]]:
    """Return the program and environment of every container of ours; a secret reads as a URL."""
    found = []
    for manifest in manifests:
        pod = manifest.get("spec", {}).get("template", {}).get("spec", {})
        for container in pod.get("containers", []):
            if container["name"] in SERVICES:
                entries: list[dict[str, Any]] = container["env"]
                names = [entry["name"] for entry in entries]
                assert len(names) == len(set(names)), "a name stands twice"
                environment = {entry["name"]: value_of(entry) for entry in entries}
                found.append((container["name"], environment))
    return found


def value_of(entry: dict[str, Any]) -> str:
    """Return what the entry's variable holds in a pod."""
    source = entry.get("valueFrom", {})
    if "secretKeyRef" in source:
        return "redis://somewhere:6379/0"
    return "2" if "resourceFieldRef" in source else str(entry["value"])


def unknown(program: str, environment: dict[str, str]) -> set[str]:
    """Return the TIERCEL_ names that are no field of the service's settings."""
    fields = {f"TIERCEL_{field.upper()}" for field in settings_of(program).model_fields}
    ours = {name for name in environment if name.startswith("TIERCEL_")}
    return ours - fields - OF_THE_LIBRARY


@pytest.mark.parametrize(
    "values", VALUES_SETS, ids=[path.stem if path else "defaults" for path in VALUES_SETS]
)
def test_the_services_know_and_can_read_every_setting(
    values: Path | None, monkeypatch: pytest.MonkeyPatch
):
    found = environments(render(values))
    assert {program for program, _ in found} >= {"verifier", "router", "feedback"}
    for program, environment in found:
        assert unknown(program, environment) == set()
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            settings = config.load(settings_of(program), arguments=[])
        default = settings_of(program).model_fields["address"].default
        assert settings.address == f"0.0.0.0:{default.rpartition(':')[2]}"


def test_a_setting_that_no_service_knows_is_found():
    manifests = render(None, 'tiers={"target": {"settings": {"treads": 2}}}')
    found = [unknown(program, environment) for program, environment in environments(manifests)]
    assert [names for names in found if names] == [{"TIERCEL_TREADS"}]


def test_a_large_number_is_written_in_full():
    manifests = render(None, 'tiers={"target": {"settings": {"tokens": 10000000, "on": true}}}')
    (tokens,) = [e["TIERCEL_TOKENS"] for _, e in environments(manifests) if "TIERCEL_TOKENS" in e]
    assert tokens == "10000000"


def test_a_tier_may_call_drafters_at_the_addresses_of_their_pods():
    manifests = render(None, 'tiers={"suffix": {"local": false}}')
    tiers = [pair for pair in environments(manifests) if pair[0] in ("verifier", "drafter")]
    assert len(tiers) == 3
    for _, environment in tiers:
        allowed = json.loads(environment["TIERCEL_ALLOWED_DRAFTERS"])
        for port in (50051, 50061):
            check_address(Plan("draft", f"10.42.0.7:{port}"), allowed)
        with pytest.raises(PlanRefused):
            check_address(Plan("draft", "10.42.0.7:22"), allowed)


def test_a_tier_takes_as_many_threads_as_its_pod_asks_cores():
    deployments = {
        manifest["metadata"]["name"]: manifest["spec"]["template"]["spec"]["containers"][0]["env"]
        for manifest in render(CHART / "ci" / "gpu-values.yaml")
        if manifest["kind"] == "Deployment"
    }
    threads = {
        name: next((entry for entry in env if entry["name"] == "TIERCEL_THREADS"), None)
        for name, env in deployments.items()
    }
    target, large = threads["demo-tiercel-tier-target"], threads["demo-tiercel-tier-large"]
    assert target["valueFrom"]["resourceFieldRef"] == {"resource": "requests.cpu", "divisor": "1"}
    assert large == {"name": "TIERCEL_THREADS", "value": "4"}
    assert threads["demo-tiercel-router"] is None


def test_helm_test_calls_the_command_line_as_it_is():
    (pod,) = [manifest for manifest in render(None) if manifest["kind"] == "Pod"]
    (container,) = pod["spec"]["containers"]
    asked = {part for part in container["command"] if part.startswith("--")}
    result = subprocess.run(
        [sys.executable, "-m", "tiercel.cli", container["command"][1], "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked == {"--max-new-tokens", "--stats", "--router"}
    assert [option for option in asked if option not in result.stdout] == []
    assert container["args"] == ["demo-tiercel-router.serving.svc:50050"]
