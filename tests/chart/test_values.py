"""Values are checked before anything is installed: typos, impossible tiers, plans of no tier."""

import json
from collections import defaultdict

import pytest
import yaml

from scripts.check_chart import CHART, ChartError, Manifest, render

EMBEDDED = 'feedback={"store": "embedded", "replicas": 2}'


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ('tiers={"target": {"replica": 2}}', "replica"),
        ('tiers={"target": {"service": "verifer"}}', "/tiers/target/service"),
        ('tiers={"target": {"pricePerSecond": -1}}', "/tiers/target/pricePerSecond"),
        ('tiers={"mid": {"service": "verifier"}}', "engine"),
        ('tiers={"mid": {"service": "verifier", "engine": "onnx"}}', "model"),
        ('tiers={"Mid_1": {"service": "drafter", "engine": "suffix"}}', "Mid_1"),
        ('tiers={"target": {"resources": {"limit": {}}}}', "limit"),
        ('tiers={"target": {"settings": {"address": "0.0.0.0:1"}}}', "address"),
        ('tiers={"target": {"settings": {"Threads": 1}}}', "Threads"),
        ('tiers={"target": {"local": true}}', "/tiers/target"),
        ('tiers={"suffix": {"settings": {"threads": 1}}}', "/tiers/suffix/settings"),
        ('machines={"left": {"tiers": ["target"]}}', "memoryGb"),
        ('machines={"left": {"memoryGb": 8, "tiers": ["huge"]}}', 'no tier "huge" with pods'),
        ('machines={"left": {"memoryGb": 8, "tiers": ["suffix"]}}', 'no tier "suffix" with pods'),
        (
            'machines={"a": {"memoryGb": 8, "tiers": ["draft"]},'
            ' "b": {"memoryGb": 8, "tiers": ["target", "draft"]}}',
            'machines.b.tiers: "draft" is on machine "a" too',
        ),
        (
            'machines={"left": {"memoryGb": 8, "tiers": ["draft"]}},router={"replicas": 2}',
            "router.replicas must be 1",
        ),
        ('router={"servce": {}}', "servce"),
        ('router={"engine": "onnx"}', "engine"),
        ('feedback={"store": "external"}', "/feedback/existingSecret/name"),
        ('feedback={"valkey": {"storage": {"sise": "1Gi"}}}', "sise"),
        ('defaults={"gpus": -1}', "/defaults/gpus"),
        ('networkPolicy={"enabeld": true}', "enabeld"),
        ('tierz={"a": {}}', "tierz"),
        (EMBEDDED, "feedback.replicas must be 1"),
        ('tiers={"suffix": null}', 'there is no tier "suffix"'),
        ('plans={"bad": "target <- [draft:4@0.5, nothing:8]"}', 'there is no tier "nothing"'),
        ('defaultPlan="chian"', "no such plan"),
    ],
)
def test_a_bad_value_is_refused_by_name(setting: str, named: str):
    with pytest.raises(ChartError) as error:
        render(None, setting)
    assert named in str(error.value)


def test_one_field_of_a_tier_can_be_changed_alone():
    manifests = {
        (manifest["kind"], manifest["metadata"]["name"]): manifest
        for manifest in render(None, 'tiers={"target": {"replicas": 3}}')
    }
    target = manifests["Deployment", "demo-tiercel-tier-target"]
    assert target["spec"]["replicas"] == 3
    image = target["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "tiercel:0.1.0"


OVERRIDES = {
    "replicas": 2,
    "image": {"tag": "next"},
    "resources": {"requests": {"cpu": "3"}},
    "gpus": 2,
    "gpuResource": "nvidia.com/mig-1g.10gb",
    "settings": {"threads": 3},
    "extraEnv": [{"name": "HF_TOKEN", "value": "x"}],
    "startupSeconds": 60,
    "preStopSeconds": 7,
    "graceSeconds": 8,
    "cache": {"existingClaim": "models"},
    "readOnlyRootFilesystem": False,
    "podAnnotations": {"a": "b"},
    "nodeSelector": {"a": "b"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "runtimeClassName": "nvidia",
    "serviceAccountName": "reader",
    "podDisruptionBudget": {"enabled": False},
}


@pytest.mark.parametrize(("field", "value"), OVERRIDES.items(), ids=OVERRIDES)
def test_each_default_can_be_overridden_for_one_tier_and_for_that_one_alone(
    field: str, value: object
):
    gpus = {"gpus": 1} if field == "gpuResource" else {}
    before, after = (of_tiers(gpus | change) for change in ({}, {field: value}))
    changed = [name for name in before if before[name] != after[name]]
    assert changed == ["demo-tiercel-tier-draft"]


def of_tiers(change: dict[str, object]) -> dict[str, list[Manifest]]:
    """Return the manifests of each tier, with a change to the tier `draft`."""
    found: dict[str, list[Manifest]] = defaultdict(list)
    for manifest in render(None, f"tiers={json.dumps({'draft': change})}"):
        if "-tier-" in manifest["metadata"]["name"]:
            found[manifest["metadata"]["name"]].append(manifest)
    return found


def test_every_default_has_an_override_in_the_test_above():
    assert yaml.safe_load((CHART / "values.yaml").read_text())["defaults"].keys() == set(OVERRIDES)


def test_no_password_leaves_its_secret():
    manifests = render(None)
    (secret,) = [manifest for manifest in manifests if manifest["kind"] == "Secret"]
    password = secret["stringData"]["valkey.conf"].split()[1]
    assert len(password) == 32
    assert password in secret["stringData"]["url"]
    others = [manifest for manifest in manifests if manifest["kind"] != "Secret"]
    assert password not in str(others)


def test_a_secret_of_ones_own_replaces_the_drawn_one():
    manifests = render(CHART / "ci" / "bundled-secret-values.yaml")
    assert "Secret" not in {manifest["kind"] for manifest in manifests}
    assert str(manifests).count("valkey-credentials") == 2
