"""Plan text: read, printed, and told where it is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiercel.errors import InvalidRequest
from tiercel.plan_rules import MAX_DEPTH
from tiercel.plan_text import NAME, Outline, parse_plan, print_plan

names = st.from_regex(NAME, fullmatch=True)
numbers = st.none() | st.integers(0, 64)
confidences = st.none() | st.floats(0, 1)


def drafters_of(children):
    return st.lists(children, max_size=3).map(tuple)


leaves = st.builds(Outline, names, numbers, confidences)
inner = st.recursive(
    leaves,
    lambda children: st.builds(Outline, names, numbers, confidences, drafters_of(children)),
    max_leaves=6,
).filter(lambda outline: outline.plan().depth < MAX_DEPTH)
outlines = st.builds(Outline, names, drafters=drafters_of(inner))


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


@pytest.mark.parametrize(
    ("text", "why"),
    [
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
