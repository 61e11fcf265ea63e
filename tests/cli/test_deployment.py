"""A configuration as processes: their order, their settings, and other ports for them."""

from pathlib import Path

import pytest

from tests.cli.conftest import has_one_line
from tiercel import tiers
from tiercel.cli.deployment import Deployment, on_free_ports
from tiercel.errors import InvalidRequest

TOML = """
default_plan = "one"
plans = { one = "big <- small" }
router = { address = "localhost:1", settings = { policy = "static", log_level = "debug" } }
feedback = { address = "elsewhere:2" }
[tiers.big]
service = "verifier"
engine = "onnx"
model = "m"
addresses = ["localhost:3", "gpu.example:4", "dns:///big:5", "[::1]:6"]
[tiers.small]
service = "drafter"
engine = "suffix"
addresses = ['127.0.0.1:7']
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(TOML)
    return path


def test_the_built_in_chain_starts_with_feedback_and_ends_with_the_router():
    specs = Deployment(None).specs()
    assert [spec.name for spec in specs] == ["feedback", "draft", "target", "router"]
    modules = [spec.command[-1] for spec in specs]
    assert modules == [f"services.{name}" for name in
                       ("feedback", "verifier", "verifier", "router")]  # fmt: skip
    assert "TIERCEL_CONFIG" not in specs[-1].environment


def test_only_what_is_on_this_machine_is_started(file: Path):
    deployment = Deployment(file)
    assert [spec.name for spec in deployment.specs()] == ["small", "big@6", "big@3", "router"]
    assert deployment.elsewhere() == ["big at gpu.example:4", "big at dns:///big:5"]


def test_two_services_at_one_address_are_refused(file: Path):
    file.write_text(TOML.replace("127.0.0.1:7", "localhost:3"))
    with pytest.raises(InvalidRequest, match="big@3='localhost:3': small is there too"):
        Deployment(file).specs()


def test_a_process_has_common_settings_under_its_own(file: Path):
    specs = {spec.name: spec for spec in Deployment(file, common={"log_level": "error"}).specs()}
    router, small = specs["router"].environment, specs["small"].environment
    assert router["TIERCEL_LOG_LEVEL"] == "debug"
    assert small["TIERCEL_LOG_LEVEL"] == "error"
    assert router["TIERCEL_CONFIG"] == str(file)
    assert (small["TIERCEL_TIER"], small["TIERCEL_ENGINE"]) == ("small", "suffix")


def test_a_copy_on_free_ports_is_the_same_but_for_the_ports_here(file: Path, tmp_path: Path):
    before, after = tiers.load(file), tiers.load(on_free_ports(file, tmp_path))
    assert dict(after.plans) == dict(before.plans)
    ours = [after.router.address, after.tiers["big"].addresses[0], *after.tiers["small"].addresses]
    assert len(set(ours)) == 3
    assert not {"localhost:1", "localhost:3", "127.0.0.1:7"} & set(ours)
    assert after.tiers["big"].addresses[1:3] == before.tiers["big"].addresses[1:3]
    assert after.feedback == before.feedback


def test_a_bad_configuration_is_one_line(tiercel, tmp_path: Path):
    bad = tmp_path / "bad.toml"
    bad.write_text("default_plan = 3")
    assert has_one_line(tiercel("up", "--config", str(bad)), 1, "tiers=None: ")
    bad.write_text("default_plan = ")
    assert has_one_line(tiercel("up", "--config", str(bad)), 1, "not TOML")
