"""`tiercel generate`: what goes to the router, and what a pipe, a terminal and a program get."""

import json

import pytest

from tests.cli.conftest import has_one_line
from tiercel.errors import InvalidRequest, Overloaded

TEXT = "The sky é!\n"


def test_a_pipe_gets_the_text_and_nothing_else(tiercel):
    result = tiercel("generate", "Why?")
    assert (result.exit_code, result.stdout, result.stderr) == (0, TEXT + "\n", "")


def test_the_options_reach_the_router(tiercel, router):
    result = tiercel(
        *("generate", "Why?", "--system", "Be brief.", "--temperature", "0.8", "--top-k", "40"),
        *("--top-p", "0.9", "--seed", "0", "--max-new-tokens", "3", "--stop", "\n", "--stop", "."),
        *("--plan", "alone", "--kind", "question", "--logprobs"),
    )
    assert result.exit_code == 0
    [request] = router.requests
    turns = [(turn.role, turn.content) for turn in request.prompt.conversation.messages]
    assert turns == [("system", "Be brief."), ("user", "Why?")]
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_k, sampling.top_p) == (0.8, 40, 0.9)
    assert sampling.HasField("seed") and sampling.seed == 0
    assert request.stop.max_new_tokens == 3
    assert list(request.stop.strings) == ["\n", "."]
    assert (request.objective.plan_name, request.kind) == ("alone", "question")
    assert request.logprobs


def test_without_a_seed_the_router_draws_one(tiercel, router):
    result = tiercel("generate", "Why?", "--temperature", "1", "--json")
    assert not router.requests[0].sampling.HasField("seed")
    assert json.loads(result.stdout)["finished"]["seed"] == 4711


def test_a_raw_prompt_from_stdin_has_no_template(tiercel, router):
    assert tiercel("generate", "-", "--raw", stdin="Once upon\n").exit_code == 0
    assert router.requests[0].prompt.text == "Once upon\n"


def test_a_plan_is_written_out_and_what_was_not_written_stays_open(tiercel, router):
    tiercel("generate", "Why?", "--plan", "target <- draft:3 <- suffix")
    plan = router.requests[0].objective.plan
    draft = plan.drafters[0]
    assert (plan.tier, draft.tier, draft.num_speculative_tokens) == ("target", "draft", 3)
    assert not draft.drafters[0].HasField("num_speculative_tokens")


def test_a_tier_by_its_name_is_a_plan_of_that_tier_alone(tiercel, router):
    tiercel("generate", "Why?", "--plan", "draft")
    assert router.requests[0].objective.plan.tier == "draft"


def test_a_pipe_gets_marks_where_the_tier_changes_and_a_legend(tiercel):
    result = tiercel("generate", "Why?", "--provenance")
    body, _, legend = result.stdout.partition("\n\n\n")
    assert body == "[target]The [draft]sk[target]y é[draft]!"
    assert legend == "target 2 tokens (40%)   draft 3 tokens (60%)\n"


def test_a_terminal_gets_a_colour_for_each_tier(tiercel):
    result = tiercel("generate", "Why?", "--provenance", FORCE_COLOR="1")
    assert "\x1b[32msk\x1b[0m" in result.stdout
    assert "[draft]" not in result.stdout


def test_a_terminal_gets_no_control_characters_of_the_model_but_a_pipe_gets_all(tiercel, router):
    router.tokens[""] = [("target", "a\x1b[2Jb")]
    assert "a\ufffd[2Jb" in tiercel("generate", "Why?", FORCE_COLOR="1").stdout
    assert tiercel("generate", "Why?").stdout == "a\x1b[2Jb\n"


def test_json_has_the_whole_answer(tiercel):
    answer = json.loads(tiercel("generate", "Why?", "--json", "--logprobs").stdout)
    assert answer["text"] == TEXT
    assert answer["token_ids"] == [100, 101, 102, 103, 104]
    spans = [(span["tier"], span["text"], span["num_tokens"]) for span in answer["spans"]]
    expected = [
        ("target", "The ", 1),
        ("draft", "sk", 2),
        ("target", "y é", 1),
        ("draft", "!\n", 1),
    ]
    assert spans == expected
    assert answer["finished"]["reason"] == "length"
    assert answer["finished"]["usage"]["pairs"][0]["num_accepted_tokens"] == 3
    assert answer["decision"]["plan_text"] == "target <- draft:4"
    assert len(answer["logprobs"]) == 5


def test_stats_are_tables_of_pairs_and_tiers(tiercel):
    rows = [line.split() for line in tiercel("generate", "Why?", "--stats").stdout.splitlines()]
    assert ["target", "<-", "draft", "2", "6", "3", "1", "0.750", "2.50", "0"] in rows
    assert [
        "5",
        "tokens",
        "in",
        "0.50",
        "s,",
        "10.0",
        "tokens/s;",
        "the",
        "first",
        "after",
        "0.10",
        "s",
    ] in rows


@pytest.mark.parametrize("after", [0, 2])
def test_an_error_of_the_router_is_one_line(tiercel, router, after):
    router.error, router.error_after = Overloaded("the queue is full", 2.5), after
    result = tiercel("generate", "Why?", "--json")
    assert has_one_line(result, 1, "tiercel: the queue is full (try again in 2.5 s)")


def test_a_refused_value_is_one_line(tiercel, router):
    router.error = InvalidRequest("top_p", 0.0, "must be in (0, 1]")
    assert has_one_line(tiercel("generate", "Why?", "--top-p", "0"), 1, "top_p=0.0: must be")


def test_no_router_is_one_line(tiercel):
    result = tiercel("generate", "Why?", "--router", "localhost:9")
    assert has_one_line(result, 1, "tiercel: the router at localhost:9 does not answer")


def test_an_unknown_plan_is_one_line_with_the_known_ones(tiercel):
    result = tiercel("generate", "Why?", "--plan", "nope")
    assert has_one_line(result, 1, "no plan or tier 'nope'; the plans are chain, alone")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("generate",), "Missing argument"),
        (("generate", "  "), "the prompt is empty"),
        (("generate", "caf\udce9"), "the prompt is not UTF-8"),
        (("generate", "a", "--plan", "target <- "), "expected the name of a tier"),
        (("generate", "a", "--raw", "--system", "b"), "no place for --system"),
        (("generate", "a", "--temperature", "-1"), "temperature"),
        (("generate", "a", "--max-new-tokens", "0"), "max-new-tokens"),
        (("generate", "a", "--max-new-tokens", "10000000000"), "max-new-tokens"),
        (("up", "--config", "/no/such/file"), "/no/such/file"),
        (("nonsense",), "nonsense"),
    ],
)
def test_bad_usage_has_status_2(tiercel, router, arguments, words):
    result = tiercel(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert router.requests == []


def test_a_table_too_wide_for_the_terminal_loses_nothing(tiercel):
    result = tiercel("generate", "Why?", "--stats", FORCE_COLOR="1", COLUMNS="20")
    assert "target <- draft" in result.stdout
    assert "…" not in result.stdout


def test_in_a_pipe_text_that_may_be_revised_comes_when_it_stands(tiercel, router):
    result = tiercel("generate", "Why?", "--delivery", "revise")
    first = router.tokens[""][0][1]
    assert (result.exit_code, result.stdout) == (0, f"{first}other.\n")
    answer = json.loads(tiercel("generate", "Why?", "--delivery", "revise", "--json").stdout)
    assert answer["text"] == f"{first}other."
    assert len(answer["token_ids"]) == 2
    assert tiercel("generate", "Why?", "--delivery", "later").exit_code == 2
