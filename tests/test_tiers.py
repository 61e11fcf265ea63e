"""The configuration file: the built-in one, and one clear line for each bad one."""

import copy
import tomllib
from pathlib import Path

import pytest

from tiercel import tiers
from tiercel.errors import InvalidRequest

GOOD = tomllib.loads(tiers.BUILT_IN.read_text())
LOCAL = {"service": "drafter", "engine": "suffix", "addresses": ["local"]}


def changed(*path, to):
    content = copy.deepcopy(GOOD)
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return content


def test_the_built_in_default_is_a_chain_of_three_tiers_of_two_services():
    configuration = tiers.load()
    plan = configuration.plans[configuration.default_plan].plan()
    assert [part.tier for part in plan.walk()] == ["target", "draft", "suffix"]
    assert plan.depth == 3
    assert configuration.tiers["suffix"].service == "drafter"
    addresses = [tier.addresses for tier in configuration.tiers.values()]
    assert len(set(addresses)) == len(addresses)


def test_a_file_is_read(tmp_path: Path):
    file = tmp_path / "tiers.toml"
    file.write_text(
        'default_plan = "one"\nplans = { one = "big" }\n'
        '[tiers.big]\nservice = "verifier"\nengine = "torch"\nmodel = "m"\n'
        'addresses = ["dns:///big.ns.svc:50051", "[::1]:5"]\nsettings = { threads = 1 }\n'
    )
    configuration = tiers.load(file)
    assert configuration.tiers["big"].addresses[0] == "dns:///big.ns.svc:50051"
    assert configuration.feedback.address == ""


def test_a_machine_has_tiers_and_hosts():
    machines = {"one": {"memory_gb": 8, "tiers": ["target"], "hosts": ["10.0.0.5", "::1"]}}
    machine = tiers.parse(changed("machines", to=machines)).machines["one"]
    assert machine.has("target", "elsewhere:1")
    assert machine.has("draft", "10.0.0.5:50051") and machine.has("draft", "[::1]:50051")
    assert not machine.has("draft", "10.0.0.50:50051")


@pytest.mark.parametrize(
    ("machines", "why"),
    [
        ({"one": {"memory_gb": 8}}, "machines.one"),
        ({"one": {"memory_gb": 0, "tiers": ["target"]}}, "machines.one.memory_gb"),
        ({"one": {"tiers": ["target"]}}, "machines.one.memory_gb"),
        ({"one": {"memory_gb": 8, "tiers": ["nobody"]}}, "machines.one.tiers='nobody'"),
        ({"one": {"memory_gb": 8, "tiers": ["suffix"]}}, "machines.one.tiers='suffix'"),
        ({name: {"memory_gb": 8, "hosts": ["h"]} for name in "ab"}, "'hosts.h': a has it too"),
        ({name: {"memory_gb": 8, "tiers": ["draft"]} for name in "ab"}, "'tiers.draft': a has"),
    ],
)
def test_a_machine_that_cannot_be_is_refused(machines, why):
    with pytest.raises(InvalidRequest) as refused:
        tiers.parse(changed("machines", to=machines))
    assert why in str(refused.value)


def test_the_environment_of_a_replica_has_its_settings_and_leaves_out_what_is_empty():
    tier = tiers.Tier(
        service="drafter",
        engine="suffix",
        addresses=("h:1", "h:2"),
        settings={"threads": 1, "reflection": True},
    )
    assert tiers.environment(tier, name="suffix", address="h:2") == {
        "TIERCEL_TIER": "suffix",
        "TIERCEL_ADDRESS": "h:2",
        "TIERCEL_ENGINE": "suffix",
        "TIERCEL_THREADS": "1",
        "TIERCEL_REFLECTION": "true",
    }


@pytest.mark.parametrize(
    ("content", "key", "why"),
    [
        (changed("tiers", "draft", "service", to="router"), "tiers.draft.service", "'verifier'"),
        (changed("tiers", "draft", "speed", to=1), "tiers.draft.speed", "not permitted"),
        (changed("tiers", "draft", "addresses", to=[]), "tiers.draft.addresses", "at least 1"),
        (changed("tiers", "draft", "addresses", to=["h"]), "tiers.draft.addresses", "host:port"),
        (
            changed("tiers", "draft", "addresses", to=["h:0"]),
            "tiers.draft.addresses",
            "'h:0' is not",
        ),
        (changed("tiers", "draft", "addresses", to=["h:1"] * 2), "tiers.draft.addresses", "twice"),
        (changed("tiers", "draft", "addresses", to=["local"]), "tiers.draft", "engine suffix"),
        (changed("tiers", "suffix", "addresses", to=["local", "h:1"]), "tiers.suffix", "its only"),
        (changed("tiers", "suffix", to=LOCAL | {"settings": {"threads": 1}}), "tiers.suffix", "no"),
        (changed("tiers", to={}), "tiers", "at least 1"),
        (changed("tiers", "a b", to=GOOD["tiers"]["draft"]), "tiers", "'a b' cannot be"),
        (changed("plans", "x", to="target <- nobody"), "plans.x", "no tier 'nobody'"),
        (changed("plans", "x", to="target <- draft:"), "plans.x", "at character 16"),
        (changed("plans", "x", to="target <- target"), "plans.x", "twice on one path"),
        (changed("plans", "x", to="suffix"), "plans.x", "cannot answer"),
        (changed("default_plan", to="none"), "default_plan", "no such plan"),
        ({key: GOOD[key] for key in ("tiers", "plans")}, "default_plan", "required"),
        (changed("router", "address", to="everywhere"), "router.address", "host:port"),
        (changed("rooter", to={}), "rooter", "not permitted"),
    ],
)
def test_the_line_names_the_key(content, key, why):
    with pytest.raises(InvalidRequest) as caught:
        tiers.parse(content)
    assert caught.value.field == key
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_file_that_is_no_toml(tmp_path: Path):
    with pytest.raises(InvalidRequest, match="No such file"):
        tiers.load(tmp_path / "none.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("[tiers\n")
    with pytest.raises(InvalidRequest, match=r"bad\.toml.*not TOML"):
        tiers.load(bad)
