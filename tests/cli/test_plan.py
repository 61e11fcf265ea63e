"""`tiercel plan`: from a file, and from what a feedback service has learned."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from tests.cli.conftest import has_one_line
from tiercel.cli.bench.report import PlanReport
from tiercel.cli.statistics import PairReport
from tiercel.v1 import feedback_pb2, feedback_pb2_grpc

DATA = {
    "tiers": {"target": {"step_s": {"1": 0.1, "5": 0.14}}, "suffix": {"token_s": 0.0001}},
    "pairs": [{"drafter": "suffix", "verifier": "target", "acceptance_rate": 0.5}],
}


class ScriptedFeedback(feedback_pb2_grpc.FeedbackServicer):
    """Has learned one pair."""

    def GetPolicy(self, request, context):
        pair = feedback_pb2.PairPolicy(
            drafter="draft",
            verifier="target",
            acceptance_rate=0.9,
            draft_ns_per_token=2e6,
            verify_ns_per_pass=5e7,
        )
        policy = feedback_pb2.LearnedPolicy(epoch="e", version=1, pairs=[pair])
        return feedback_pb2.GetPolicyResponse(policy=policy)


@pytest.fixture
def feedback() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    feedback_pb2_grpc.add_FeedbackServicer_to_server(ScriptedFeedback(), server)
    address = f"localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    yield address
    server.stop(None).wait()


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "data.json"
    path.write_text(json.dumps(DATA))
    return str(path)


def rows(result) -> list[list[str]]:
    return [line.split() for line in result.stdout.splitlines()]


def test_the_chains_and_the_best_of_them(tiercel, data: str):
    result = tiercel("plan", "--data", data, "--num-tokens", "64")
    assert result.exit_code == 0
    assert ["target"] in rows(result)
    [best] = [row for row in rows(result) if row[-1:] == ["best"]]
    assert best[:2] == ["target", "<-"] and best[2].startswith("suffix:")
    [alone] = [row for row in rows(result) if row[:2] == ["target", "0.10000"]]
    assert alone == ["target", "0.10000", "10.00", "6.300", "1.00x"]


def test_names_without_times_are_told(tiercel, data: str, tmp_path: Path):
    assert not tiercel("plan", "--data", data).stderr
    path, pair = tmp_path / "typo.json", {"drafter": "sufix", "verifier": "target"}
    path.write_text(json.dumps(DATA | {"pairs": [pair | {"acceptance_rate": 0.5}]}))
    result = tiercel("plan", "--data", str(path))
    assert result.exit_code == 0 and "no times of sufix" in result.stderr


def test_as_json(tiercel, data: str):
    found = json.loads(tiercel("plan", "--data", data, "--json").stdout)
    assert [one["root"] for one in found] == ["target", "target"]
    assert found[0]["answer_s"] < found[1]["answer_s"] and found[1]["plan"] == "target"


def test_what_was_learned_fills_in(tiercel, data: str, feedback: str):
    result = tiercel("plan", "--data", data, "--feedback", feedback, "--json")
    plans = {one["plan"].split(":")[0]: one for one in json.loads(result.stdout)}
    assert plans.keys() == {"target", "target <- suffix", "target <- draft"}
    assert plans["target"]["token_s"] == 0.1
    alone = json.loads(tiercel("plan", "--feedback", feedback, "--json").stdout)
    assert alone[-1]["plan"] == "target" and alone[-1]["token_s"] == 0.05


def test_a_bench_gives_rates_and_passes(tiercel, tmp_path: Path):
    pair = PairReport("draft", "target", 10, 40, 30, 10, 0.75, 4.0)
    plans = [
        PlanReport("alone", ("target",), "target", 2, 22, 10.0, 10.0, 0.1, (), {}),
        PlanReport("pair", ("target <- draft:4",), "target", 2, 22, 20.0, 20.0, 0.1, (pair,), {}),
    ]
    bench, data = tmp_path / "bench.json", tmp_path / "data.json"
    bench.write_text(json.dumps({"num_prompts": 2, "plans": plans}, default=vars))
    data.write_text('{"tiers": {"draft": {"token_s": 0.01}}}')
    result = tiercel("plan", "--bench", str(bench), "--data", str(data), "--json")
    by_plan = {one["plan"].split(":")[0]: one for one in json.loads(result.stdout)}
    assert by_plan.keys() == {"target", "target <- draft"}
    assert by_plan["target"]["token_s"] == pytest.approx((11 / 10.0 - 0.1) / 10)
    bench.write_text('{"plans": [{"chains": 3}]}')
    assert has_one_line(tiercel("plan", "--bench", str(bench)), 1, "plans.0.chains=3")


def test_without_measurements_there_is_nothing_to_say(tiercel, tmp_path: Path):
    assert tiercel("plan").exit_code == 2
    empty = tmp_path / "empty.json"
    empty.write_text("{}")
    assert has_one_line(tiercel("plan", "--data", str(empty)), 1, "none has a time of a pass")
    none = tiercel("plan", "--data", str(tmp_path / "none"))
    assert has_one_line(none, 1, "No such file")
