"""`tiercel route` and `tiercel tiers`."""

import json


def test_route_shows_the_decision_and_why(tiercel, router):
    result = tiercel("route", "Why?", "--plan", "chain")
    lines = result.stdout.splitlines()
    assert lines[0] == "plan        target <- draft:4 (chain)"
    assert "reason      the caller named it" in lines
    rows = [line.split() for line in lines]
    assert ["chain", "1.25", "-", "-", "-", "0.750", "chosen"] in rows
    assert ["dear", "-", "9.000", "0.900", "0.800", "0.000", "over", "budget"] in rows
    assert "forced      the caller named the plan" in lines
    assert any("too little to promise" in line for line in lines)
    assert router.requests[0].objective.plan_name == "chain"


def test_what_is_wished_reaches_the_router(tiercel, router):
    wished = ("--policy", "utility", "--cost-weight", "0.25", "--target-quality", "0.9")
    limits = ("--max-seconds", "2", "--max-cost", "3.5", "--session", "s1")
    for command in ("route", "generate"):
        assert tiercel(command, "Why?", *wished, *limits).exit_code == 0
        objective = router.requests[-1].objective
        assert objective.policy == "utility"
        assert (objective.cost_weight, objective.target_quality) == (0.25, 0.9)
        assert (objective.max_seconds, objective.max_cost) == (2.0, 3.5)
        assert router.requests[-1].session_id == "s1"
    tiercel("route", "Why?")
    unasked = router.requests[-1].objective
    assert not any(unasked.HasField(name) for name in ("cost_weight", "max_seconds"))


def test_route_as_json(tiercel):
    decision = json.loads(tiercel("route", "Why?", "--json").stdout)
    assert decision["plan_text"] == "target <- draft:4"
    assert decision["candidates"][0]["predicted_s"] == 1.25
    assert decision["candidates"][0]["predicted_quality"] is None


def test_tiers_shows_states_problems_and_plans(tiercel):
    result = tiercel("tiers")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["target", "localhost:1", "ready", "tiny"] in [row[:4] for row in rows]
    target = next(row for row in rows if row[:1] == ["target"])
    assert " ".join(target).count("away 1.34 GB") == 1
    lost = next(row for row in rows if row[:1] == ["draft"])
    assert lost[2] == "unreachable"
    assert lost[-3:] == ["does", "not", "answer"]
    assert ["chain", "target", "<-", "draft:4", "default"] in rows


def test_tiers_as_json(tiercel):
    overview = json.loads(tiercel("tiers", "--json").stdout)
    assert [replica["state"] for replica in overview["replicas"]] == ["ready", "unreachable"]
    assert overview["replicas"][0]["description"]["model"] == "tiny"
    assert [plan["is_default"] for plan in overview["plans"]] == [True, False]
