"""`tiercel chat`: what a conversation remembers."""

import json

from tests.cli.conftest import has_one_line
from tiercel.errors import Unavailable

ANSWER = ("assistant", "The sky é!\n")


def turns(request):
    return [(turn.role, turn.content) for turn in request.prompt.conversation.messages]


def test_every_turn_has_the_turns_before_it(tiercel, router):
    result = tiercel("chat", "--system", "Be brief.", stdin="one\n\ntwo\n")
    assert result.exit_code == 0
    assert [turns(request) for request in router.requests] == [
        [("system", "Be brief."), ("user", "one")],
        [("system", "Be brief."), ("user", "one"), ANSWER, ("user", "two")],
    ]


def test_reset_forgets_and_quit_leaves(tiercel, router):
    tiercel("chat", stdin="one\n/reset\ntwo\n/quit\nthree\n")
    assert [turns(request) for request in router.requests] == [[("user", "one")], [("user", "two")]]


def test_the_plan_can_change_and_a_bad_one_changes_nothing(tiercel, router):
    lines = "one\n/plan alone\ntwo\n/plan target <- \nthree\n/plan\n/what\n"
    result = tiercel("chat", stdin=lines)
    plans = [request.objective.plan_name for request in router.requests]
    assert plans == ["", "alone", "alone"]
    assert "expected the name of a tier" in result.stderr
    assert "plan: alone" in result.stderr
    assert "/reset" in result.stderr


def test_json_has_one_line_for_each_answer(tiercel):
    result = tiercel("chat", "--json", stdin="one\ntwo\n")
    assert [json.loads(line)["text"] for line in result.stdout.splitlines()] == [ANSWER[1]] * 2


def test_an_error_ends_a_conversation_from_a_pipe(tiercel, router):
    router.error = Unavailable("no tier is ready")
    assert has_one_line(tiercel("chat", stdin="one\ntwo\n"), 1, "no tier is ready")
