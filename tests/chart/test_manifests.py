"""What the chart renders is what Kubernetes takes, safe by default, and consistent in itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.check_chart import (
    CHART,
    KUBERNETES_VERSIONS,
    VALUES_SETS,
    Manifest,
    check,
    problems,
    render,
)
from tiercel import tiers
from tiercel.rpc.server import LIVENESS, READINESS

GPU = CHART / "ci" / "gpu-values.yaml"
SETS = pytest.mark.parametrize(
    "values", VALUES_SETS, ids=[path.stem if path else "defaults" for path in VALUES_SETS]
)


def containers(workloads: dict[str, Manifest]) -> Iterator[tuple[Manifest, dict[str, Any]]]:
    for manifest in workloads.values():
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            yield manifest, container


def ours(workloads: dict[str, Manifest]) -> Iterator[tuple[Manifest, dict[str, Any]]]:
    return (pair for pair in containers(workloads) if pair[1]["name"] != "valkey")


def limits(workloads: dict[str, Manifest], name: str) -> dict[str, Any]:
    return workloads[name]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]


@SETS
def test_kubernetes_takes_every_manifest(values: Path | None):
    assert list(check(values)) == []


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_a_misspelt_field_of_a_manifest_is_found(version: str):
    manifests = render(None)
    broken = next(manifest for manifest in manifests if manifest["kind"] == "Deployment")
    broken["spec"]["replicaz"] = 1
    (problem,) = problems(manifests, version)
    assert "replicaz" in problem


@SETS
def test_every_container_is_locked_down(values: Path | None, workloads):
    for manifest, container in containers(workloads(values)):
        pod = manifest["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        writable = manifest["metadata"]["name"] == "demo-tiercel-tier-large"
        assert security["readOnlyRootFilesystem"] is not writable
        assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]


@SETS
def test_probes_ask_the_names_that_the_server_answers_to(values: Path | None, workloads):
    for _, container in ours(workloads(values)):
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        asked = {
            probe: container[f"{probe}Probe"]["grpc"]
            for probe in ("startup", "readiness", "liveness")
        }
        assert {grpc["port"] for grpc in asked.values()} == {ports["grpc"]}
        assert asked["startup"]["service"] == asked["readiness"]["service"] == READINESS
        assert asked["liveness"]["service"] == LIVENESS


@SETS
def test_a_pod_has_time_to_load_and_to_drain(values: Path | None, workloads):
    for manifest, container in ours(workloads(values)):
        pod = manifest["spec"]["template"]["spec"]
        asked = 1801 if manifest["metadata"]["name"].endswith("-large") else 900
        probe = container["startupProbe"]
        assert asked <= probe["periodSeconds"] * probe["failureThreshold"] < asked + 10
        sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        grace = next(e["value"] for e in container["env"] if e["name"] == "TIERCEL_GRACE_S")
        assert pod["terminationGracePeriodSeconds"] > sleep + float(grace)


@SETS
def test_each_service_finds_the_pods_of_one_workload(values: Path | None, workloads):
    labels = {
        name: manifest["spec"]["template"]["metadata"]["labels"].items()
        for name, manifest in workloads(values).items()
    }
    services = [manifest for manifest in render(values) if manifest["kind"] == "Service"]
    assert len(services) == len(labels)
    for service in services:
        selector = service["spec"]["selector"].items()
        found = [name for name, of_pod in labels.items() if selector <= of_pod]
        assert found == [service["metadata"]["name"]]


@SETS
def test_the_router_is_told_of_every_tier_at_its_service(values: Path | None, tmp_path: Path):
    manifests = render(values)
    (config,) = [manifest for manifest in manifests if manifest["kind"] == "ConfigMap"]
    file = tmp_path / "tiers.toml"
    file.write_text(config["data"]["tiers.toml"])
    loaded = tiers.load(file)
    served = [tier for tier in loaded.tiers.values() if not tier.is_local]
    told = {address for tier in served for address in tier.addresses}
    services = [manifest for manifest in manifests if manifest["kind"] == "Service"]
    headless = [service for service in services if service["spec"].get("clusterIP") == "None"]
    assert told == {f"dns:///{where(service)}" for service in headless}
    assert loaded.feedback.address in [where(service) for service in services]


def test_a_look_up_drafter_has_a_pod_unless_it_is_local():
    name = "demo-tiercel-tier-suffix"
    networked = ('networkPolicy={"enabled": true}', 'tiers={"suffix": {"local": false}}')
    assert name not in {one["metadata"]["name"] for one in render(None, networked[0])}
    served = [one["kind"] for one in render(None, *networked) if one["metadata"]["name"] == name]
    assert {"Deployment", "NetworkPolicy", "Service"} <= {*served}


def where(service: Manifest) -> str:
    return f"{service['metadata']['name']}.serving.svc:{service['spec']['ports'][0]['port']}"


def test_the_default_tiers_and_plans_are_the_built_in_ones(tmp_path: Path):
    (config,) = [manifest for manifest in render(None) if manifest["kind"] == "ConfigMap"]
    file = tmp_path / "tiers.toml"
    file.write_text(config["data"]["tiers.toml"])
    chart, built_in = tiers.load(file), tiers.load()
    assert chart.plans == built_in.plans
    assert chart.default_plan == built_in.default_plan
    assert {n: t.model_copy(update={"addresses": ()}) for n, t in chart.tiers.items()} == {
        n: t.model_copy(update={"addresses": ()}) for n, t in built_in.tiers.items()
    }


@pytest.mark.parametrize("price", [0, 0.25, 3])
def test_the_router_is_told_what_a_tier_s_seconds_cost(price: float, tmp_path: Path):
    priced = f'tiers={{"target": {{"pricePerSecond": {price}}}}}'
    (config,) = [manifest for manifest in render(None, priced) if manifest["kind"] == "ConfigMap"]
    file = tmp_path / "tiers.toml"
    file.write_text(config["data"]["tiers.toml"])
    loaded = tiers.load(file).tiers
    assert loaded["target"].price_per_second == price
    assert loaded["draft"].price_per_second == 1.0


def test_the_router_is_told_of_the_memory_of_machines(tmp_path: Path):
    def told(*settings: str) -> tiers.Configuration:
        rendered = render(None, *settings)
        (config,) = [manifest for manifest in rendered if manifest["kind"] == "ConfigMap"]
        file = tmp_path / "tiers.toml"
        file.write_text(config["data"]["tiers.toml"])
        return tiers.load(file)

    sized = 'tiers={"draft": {"memoryGb": 1.5}}'
    loaded = told('machines={"left": {"memoryGb": 24, "tiers": ["target", "draft"]}}', sized)
    assert loaded.machines == {"left": tiers.Machine(memory_gb=24, tiers=("target", "draft"))}
    assert loaded.tiers["draft"].memory_gb == 1.5 and loaded.tiers["target"].memory_gb is None
    assert told().machines == {}


def test_a_gpu_tier_asks_for_its_gpus_and_never_surges(workloads):
    found = workloads(GPU)
    large, target = "demo-tiercel-tier-large", "demo-tiercel-tier-target"
    assert limits(found, large)["nvidia.com/gpu"] == 1
    assert found[large]["spec"]["strategy"]["rollingUpdate"] == {
        "maxSurge": 0,
        "maxUnavailable": 1,
    }
    assert "nvidia.com/gpu" not in limits(found, target)
    assert "strategy" not in found[target]["spec"]


def test_a_changed_plan_restarts_the_router_and_nothing_else(workloads):
    before, after = workloads(None), workloads(None, 'plans={"mine": "target <- suffix:2"}')
    changed = [name for name in before if before[name]["spec"] != after[name]["spec"]]
    assert changed == ["demo-tiercel-router"]


@SETS
def test_network_policies_open_the_ports_that_are_served(values: Path | None, workloads):
    manifests = render(values)
    policies = [manifest for manifest in manifests if manifest["kind"] == "NetworkPolicy"]
    if not policies:
        return
    found = workloads(values)
    assert sorted(policy["metadata"]["name"] for policy in policies) == sorted(found)
    for policy in policies:
        pod = found[policy["metadata"]["name"]]["spec"]["template"]
        names = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        opened = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        assert opened == names
        assert policy["spec"]["podSelector"]["matchLabels"] == pod["metadata"]["labels"]
