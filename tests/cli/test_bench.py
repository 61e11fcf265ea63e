"""`tiercel bench`: what is asked in which order, what is reported, and that differences show."""

import json

import pytest

from tests.cli.conftest import has_one_line


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"p{n}", "task": "ab"[n % 2]} for n in range(4)]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    return str(path)


def asked(router):
    return [
        (request.objective.plan_name, request.prompt.conversation.messages[-1].content)
        for request in router.requests
    ]


def test_plans_take_turns_after_a_warm_up(tiercel, router, prompts):
    result = tiercel("bench", prompts, "--plan", "chain", "--plan", "alone", "--every", "2")
    assert result.exit_code == 0, result.stderr
    warm, measured = asked(router)[:2], asked(router)[2:]
    assert warm == [("chain", "p0"), ("alone", "p0")]
    assert measured == [("chain", "p0"), ("alone", "p0"), ("alone", "p2"), ("chain", "p2")]


def test_every_named_plan_is_measured_if_none_is_given(tiercel, prompts):
    report = json.loads(tiercel("bench", prompts, "--limit", "1", "--json").stdout)
    assert [plan["name"] for plan in report["plans"]] == ["chain", "alone"]


def test_the_report_adds_up(tiercel, prompts):
    result = tiercel(
        *("bench", prompts, "--plan", "chain", "--rounds", "3", "--max-new-tokens", "4", "--json")
    )
    report = json.loads(result.stdout)
    [plan] = report["plans"]
    assert (plan["num_answers"], plan["num_tokens"]) == (12, 48)
    assert plan["tokens_per_s"] > 0 and plan["median_tokens_per_s"] > 0
    [pair] = plan["pairs"]
    assert (pair["num_accepted_tokens"], pair["num_rejected_tokens"]) == (36, 12)
    assert (pair["acceptance_rate"], pair["mean_acceptance_length"]) == (0.75, 2.5)
    assert {name: task["num_answers"] for name, task in plan["tasks"].items()} == {"a": 6, "b": 6}


def test_equal_tokens_are_reported(tiercel, prompts):
    result = tiercel("bench", prompts, "--plan", "chain", "--plan", "alone")
    assert "root target: 2 plans, the same tokens for 4 of 4 prompts" in result.stdout


def test_other_tokens_are_reported_and_fail(tiercel, router, prompts):
    router.tokens["alone"] = router.tokens[""][:3]
    result = tiercel("bench", prompts, "--plan", "chain", "--plan", "alone", "--json")
    assert has_one_line(result, 1, "plans of one root gave different tokens")
    [root] = json.loads(result.stdout)["agreements"]
    assert len(root["differences"]) == 4
    assert root["differences"][0] == {"prompt": 0, "names": ["chain", "alone"]}


def test_a_file_of_plain_lines_is_read(tiercel, router, tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("first\n\nsecond\n")
    tiercel("bench", str(path), "--plan", "chain", "--raw", "--temperature", "1")
    assert [request.prompt.text for request in router.requests] == ["first", "first", "second"]
    assert all(request.sampling.HasField("seed") for request in router.requests)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no prompt"),
        ('{"prompt": "a"}\n{"promt": "b"}', "2': has no text under `prompt`"),
        ('{"prompt": "a"}\nnot json', "2': is not JSON"),
        ('{"prompt": "a"}\n[]', "2': has no text"),
        (None, "No such file"),
    ],
)
def test_a_bad_file_is_one_line(tiercel, tmp_path, monkeypatch, content, words):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "p").write_text(content)
    assert has_one_line(tiercel("bench", "p", "--plan", "chain"), 1, words)


def test_tiers_that_draft_from_earlier_answers_are_named(tiercel, router, prompts):
    words = "may be drafted from those of another"
    assert words not in tiercel("bench", prompts, "--plan", "chain").stderr
    router.engine = "suffix"
    assert words in tiercel("bench", prompts, "--plan", "chain").stderr
