"""Rules on the command line: asked for, and told of afterwards."""

import pytest

from tiercel.cli.generate import rule_text
from tiercel.rules import RuleUse
from tiercel.types import Rule
from tiercel.v1 import decoding_pb2


def test_a_rule_and_its_strictness_reach_the_router(tiercel, router):
    result = tiercel("generate", "Why?", "--rule", "lenient", "--strictness", "0.7")
    assert result.exit_code == 0
    asked = router.requests[0].objective.acceptance
    assert asked.rule == decoding_pb2.ACCEPTANCE_RULE_LENIENT
    assert asked.strictness == 0.7
    tiercel("generate", "Why?", "--rule", "lenient", "--strictness", "learned>=0.6")
    asked = router.requests[1].objective.acceptance
    assert (asked.learned, asked.strictness) == (True, 0.6)
    tiercel("generate", "Why?", "--rule", "rejection", "--plan", "alone")
    objective = router.requests[2].objective
    assert objective.plan_name == "alone"
    assert objective.acceptance.rule == decoding_pb2.ACCEPTANCE_RULE_REJECTION


def test_without_one_it_is_left_to_the_plan(tiercel, router):
    tiercel("generate", "Why?")
    assert not router.requests[0].objective.HasField("acceptance")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--rule", "lenient"), "say how much with --strictness"),
        (("--rule", "lenient", "--strictness", "lax"), "from 0 to 1, or learned"),
        (("--rule", "lenient", "--strictness", "learned0.5"), "from 0 to 1, or learned"),
        (("--rule", "block", "--strictness", "learned"), "only a lossy rule has a strictness"),
        (("--rule", "lax", "--strictness", "0.5"), "--rule is one of exact, rejection"),
        (("--rule", "exact", "--strictness", "0.5"), "exact has strictness 1"),
        (("--strictness", "0.5"), "give --rule too"),
    ],
)
def test_what_no_rule_can_be_is_bad_usage(tiercel, router, options, why):
    result = tiercel("generate", "Why?", *options)
    assert result.exit_code == 2
    words = " ".join(result.stderr.replace("\u2502", " ").split())
    assert why in words
    assert not router.requests


def test_what_a_rule_did_is_said_in_words():
    assert rule_text(RuleUse(Rule.REJECTION, 1.0)) == "rule rejection"
    use = RuleUse(Rule.LENIENT, 0.7, 200, 10, 15.0)
    assert rule_text(use) == (
        "rule lenient at strictness 0.7: 10 of 200 tokens (5.0%) are other than exact gives,"
        " 1.50 nats below on average"
    )
