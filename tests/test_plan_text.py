"""Plan text: read, printed, and told where it is wrong."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiercel.errors import InvalidRequest
from tiercel.plan_rules import MAX_DEPTH
from tiercel.plan_text import NAME, Outline, parse_plan, print_plan
from tiercel.rules import is_lossy
from tiercel.types import Acceptance, Rule

names = st.from_regex(NAME, fullmatch=True)
numbers = st.none() | st.integers(0, 64)
confidences = st.none() | st.floats(0, 1)
lossy = st.builds(
    Acceptance,
    st.sampled_from([rule for rule in Rule if is_lossy(rule) and rule is not Rule.AGREEMENT]),
    st.floats(0, 1),
)
agreement = st.builds(Acceptance, st.just(Rule.AGREEMENT), st.floats(0, 1), st.integers(2, 9))
written = st.sampled_from([Acceptance(Rule.REJECTION), Acceptance(Rule.BLOCK)]) | lossy | agreement
learned = (lossy | agreement).map(lambda one: replace(one, learned=True))
acceptances = st.none() | written | learned


def drafters_of(children):
    return st.lists(children, max_size=3).map(tuple)


leaves = st.builds(Outline, names, numbers, confidences, acceptance=acceptances)
inner = st.recursive(
    leaves,
    lambda children: st.builds(
        Outline, names, numbers, confidences, drafters_of(children), acceptance=acceptances
    ),
    max_leaves=6,
).filter(lambda outline: outline.plan().depth < MAX_DEPTH)
outlines = st.builds(Outline, names, drafters=drafters_of(inner), acceptance=acceptances)


@given(outlines)
def test_what_is_printed_is_read_back(outline):
    assert parse_plan(str(outline)) == outline


@given(outlines)
def test_a_plan_printed_and_read_back_is_the_same_plan(outline):
    plan = outline.plan()
    assert parse_plan(print_plan(plan)).plan() == plan


def test_a_chain_of_three():
    suffix = Outline("suffix", 8)
    assert parse_plan("target <- draft:4 <- suffix:8") == Outline(
        "target", drafters=(Outline("draft", 4, drafters=(suffix,)),)
    )


def test_several_drafters_nested_without_spaces():
    draft = Outline("draft", 4, 0.4, (Outline("tiny"),))
    assert parse_plan("target<-[draft:4@0.4<-tiny,suffix:8]").drafters == (
        draft,
        Outline("suffix", 8),
    )


def test_what_is_not_written_is_none_and_zero_is_written():
    assert parse_plan("a <- b").drafters[0].num_speculative_tokens is None
    assert parse_plan("a <- b:0@0").drafters[0] == Outline("b", 0, 0.0)


def test_a_rule_stands_behind_the_tier_that_judges_by_it():
    assert parse_plan("target{rejection} <- draft:4").acceptance == Acceptance(Rule.REJECTION)
    assert parse_plan("a { lenient = 0.7 }<-b").plan().acceptance == Acceptance(Rule.LENIENT, 0.7)
    assert parse_plan("a{agreement:3=0.9} <- [b, c, d]").plan().acceptance == Acceptance(
        Rule.AGREEMENT, 0.9, 3
    )
    learned = Acceptance(Rule.LENIENT, 0.0, learned=True)
    assert parse_plan("a{lenient = learned} <- b").plan().acceptance == learned
    assert parse_plan("a{agreement:3=learned >= 0.6}").plan().acceptance == Acceptance(
        Rule.AGREEMENT, 0.6, 3, learned=True
    )
    middle = parse_plan("a{exact} <- b{typical=0.5}:4@0.3 <- c").drafters[0]
    assert (middle.acceptance, middle.num_speculative_tokens) == (Acceptance(Rule.TYPICAL, 0.5), 4)
    assert print_plan(parse_plan("a{exact} <- b{block} <- c").plan()) == "a <- b{block}:4 <- c:4"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a{} <- b", "cannot be read, at character 2"),
        ("a{lenien=0.7} <- b", "no such rule; the rules are exact, rejection,"),
        ("a{lenient=1.5} <- b", "strictness=1.5: must be in [0, 1], at character 14"),
        ("a{exact=0.5} <- b", "exact has strictness 1"),
        ("a{block=0.5} <- b", "block has strictness 1"),
        ("a{block=learned} <- b", "only a lossy rule has a strictness to learn, at character 16"),
        ("a{lenient=learned>0.6} <- b", "cannot be read, at character 18"),
        ("a{lenient=learned>=1.5} <- b", "strictness=1.5: must be in [0, 1]"),
        ("a{lenient:3} <- b", "lenient counts no drafters"),
        ("a{agreement:1} <- b", "must be at least 2"),
        ("a{lenient=0.7 <- b", "expected }, at character 15"),
        ("a:4{lenient=0.7} <- b", "expected <- or the end, at character 5"),
        ("", "name of a tier, at character 1"),
        ("target <-", "name of a tier, at character 10"),
        ("target <- [draft, ]", "name of a tier, at character 19"),
        ("target <- []", "name of a tier, at character 12"),
        ("target <- [draft suffix]", "expected , or ], at character 18"),
        ("target <- [draft", "expected , or ], at character 17"),
        ("target draft", "expected <- or the end, at character 8"),
        ("target -> draft", "cannot be read, at character 7"),
        ("target <- draft:x", "cannot be read, at character 16"),
        ("target <- draft:65", "at most 64 tokens in a block, at character 17"),
        ("target <- draft@1.5", "at most 1, at character 17"),
        ("target:4 <- draft", "takes no : or @"),
        (" <- ".join(["a"] * 5000), "deeper than 8"),
    ],
)
def test_the_error_says_where(text, why):
    with pytest.raises(InvalidRequest) as caught:
        parse_plan(text)
    assert caught.value.field == "plan"
    assert why in str(caught.value)
