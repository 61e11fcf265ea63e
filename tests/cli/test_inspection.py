"""`tiercel route` and `tiercel tiers`."""

import json


def test_route_shows_the_decision_and_why(tiercel, router):
    result = tiercel("route", "Why?", "--plan", "chain")
    lines = result.stdout.splitlines()
    assert lines[0] == "plan        target <- draft:4 (chain)"
    assert "reason      the caller named it" in lines
    assert ["chain", "1.25", "-"] in [line.split() for line in lines]
    assert router.requests[0].objective.plan_name == "chain"


def test_route_as_json(tiercel):
    decision = json.loads(tiercel("route", "Why?", "--json").stdout)
    assert decision["plan_text"] == "target <- draft:4"
    assert decision["candidates"][0]["predicted_s"] == 1.25
    assert decision["candidates"][0]["predicted_quality"] is None


def test_tiers_shows_states_problems_and_plans(tiercel):
    result = tiercel("tiers")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["target", "localhost:1", "ready", "tiny"] in [row[:4] for row in rows]
    lost = next(row for row in rows if row[:1] == ["draft"])
    assert lost[2] == "unreachable"
    assert lost[-3:] == ["does", "not", "answer"]
    assert ["chain", "target", "<-", "draft:4", "default"] in rows


def test_tiers_as_json(tiercel):
    overview = json.loads(tiercel("tiers", "--json").stdout)
    assert [replica["state"] for replica in overview["replicas"]] == ["ready", "unreachable"]
    assert overview["replicas"][0]["description"]["model"] == "tiny"
    assert [plan["is_default"] for plan in overview["plans"]] == [True, False]
